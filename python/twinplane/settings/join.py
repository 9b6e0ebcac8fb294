"""The settings of `twinplane join`: which control plane a node is to belong to, and where the node's files go."""

from __future__ import annotations

from twinplane.settings.setting import ENDPOINT, PATH, TEXT, Setting

JOIN: tuple[Setting, ...] = (
    Setting("address", ENDPOINT, "localhost:9443", "Address of the platform's API, as host:port."),
    Setting("token-file", PATH, "./.twinplane/admin.token", "File with the token that the API is called with."),
    Setting("ca", PATH, "", "Authority (PEM) of the platform's certificate. Empty: the authorities of the system."),
    Setting("control-plane", TEXT, "default", "Control plane that the node is to belong to, by name or id."),
    Setting("prefix", PATH, "./node", "Directory of the node: its key, certificate, kong.conf and what it keeps."),
    Setting(
        "dial",
        ENDPOINT,
        "",
        "Where the node dials its control plane, as host:port. Empty: the names that the control plane gives, or"
        " `address` where those end in .localhost, which plain resolvers do not know.",
    ),
)
