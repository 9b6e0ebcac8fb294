"""The settings of `twinplane control-plane` and `twinplane up`: command line options and `TWINPLANE_*` variables.

A table, never code: what a name does is decided where its value is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinplane.settings import addresses, regions
from twinplane.settings.audit import AUDIT_PORT, FORWARD, TRAIL
from twinplane.settings.python_plugins import PLUGIN_DIRECTORY, PLUGINS
from twinplane.settings.setting import (
    DOMAIN,
    LIST,
    PATH,
    PORT,
    PORT_OR_OFF,
    SIZE,
    SWITCH,
    TEXT,
    WORKERS,
    Mistake,
    Setting,
    SettingsError,
    integer,
    number,
    one_of,
    read_values,
)

DATA = Setting("data", PATH, "./.twinplane", "Data directory: the store, certificates, the admin token.")
DOMAIN_SETTING = Setting("domain", DOMAIN, "twinplane.localhost", "Base domain of every host name of the platform.")
OTHER_DOMAINS = Setting(
    "other-domains", LIST, "", "More base domains that host names are answered under; endpoints shown carry `domain`."
)
BARE_HOSTS = Setting(
    "bare-hosts", LIST, "", "More host names that count as a bare address, like `localhost`: paths decide there."
)
ADMIN_ORIGINS = Setting("admin-origins", LIST, "", "Browser origins let into the Admin API.")
LOG_LEVEL = Setting("log-level", one_of("debug", "info", "warn", "error"), "info", "Least severe level that is logged.")

SHARED: tuple[Setting, ...] = (
    DATA,
    DOMAIN_SETTING,
    ADMIN_ORIGINS,
    LOG_LEVEL,
    OTHER_DOMAINS,
    BARE_HOSTS,
    PLUGINS,
    PLUGIN_DIRECTORY,
    Setting("retention-days", integer(1, 3650, unit="days"), "7", "How long request records are kept."),
    Setting("usage-retention-days", integer(1, 3650, unit="days"), "400", "How long usage counters are kept."),
    *TRAIL,
)

CONTROL_PLANE: tuple[Setting, ...] = (
    *SHARED,
    *regions.SETTINGS,
    *addresses.SETTINGS,
    Setting("listen", TEXT, "0.0.0.0", "Address that the one TLS port listens on."),  # noqa: S104 - everything on it is authenticated
    Setting("port", PORT, "443", "The one TLS port: console, APIs, links of nodes. 0 takes any free port."),
    Setting("advertised-port", PORT, "0", "Port that addresses shown to users carry. 0 is the listening port."),
    Setting(
        "admin-port", PORT_OR_OFF, "off", "Port of the Admin API of the control plane `default`, on loopback only."
    ),
    Setting("tls-certificate", PATH, "", "Certificate chain (PEM) served instead of one of the built-in authority."),
    Setting("tls-key", PATH, "", "Private key (PEM) of tls-certificate."),
    Setting(
        "certificate-check",
        number(0.1, 3600, unit="seconds"),
        "5",
        "How often certificate files are looked at; new ones are served without a restart.",
    ),
    Setting(
        "shared-certificate",
        TEXT,
        "",
        "Certificate that nodes in shared mode hold too: a path, PEM text or base64 of it. Turns shared mode on.",
    ),
    Setting(
        "shared-key",
        TEXT,
        "",
        "Private key of shared-certificate: a path, PEM text or base64 of it.",
        secret=True,
    ),
    Setting(
        "shared-control-plane",
        TEXT,
        "default",
        "Id of the control plane that shared-certificate lets nodes into, or its name where no other has it.",
    ),
    Setting(
        "pki-check-cn",
        SWITCH,
        "off",
        "Of nodes that an authority vouches for, let in only those whose common name is allowed.",
    ),
    Setting(
        "allowed-common-names",
        LIST,
        "",
        "Common names for pki-check-cn. Default: names in the parent domain of the front door's certificate.",
    ),
    Setting(
        "ocsp",
        one_of("off", "on", "optional"),
        "off",
        "Ask whether certificates that an authority vouches for are revoked; on: let nobody in without an answer.",
    ),
    Setting(
        "ocsp-believed",
        number(0, 86_400, unit="seconds"),
        "30",
        "How long an answer about revocation is believed before it is asked for again.",
    ),
    Setting("ocsp-loopback", SWITCH, "off", "Ask responders on this machine too."),
    Setting("workers", WORKERS, "1", "Worker threads of the front door."),
    Setting("api-threads", integer(1, 256), "8", "Threads that API calls work in."),
    Setting(
        "body-limit", SIZE, "16m", "Largest body taken by the front door; the telemetry of nodes is held to it too."
    ),
    Setting(
        "max-payload",
        integer(4194304, 2**31, unit="bytes"),
        "16777216",
        "Largest compressed configuration sent to a node.",
    ),
    Setting(
        "delta-changes-max",
        integer(0, 10_000_000, unit="changes"),
        "100000",
        "Changes that a node may have missed and still be sent only what changed; 0 sends it the whole each time.",
    ),
    Setting(
        "change-retention-days",
        integer(0, 36_500, unit="days"),
        "0",
        "How long the change log is kept: history, and what deltas are made from. 0 keeps all of it.",
    ),
    Setting("cluster-rpc", SWITCH, "off", "Answer version 2 of the link beside version 1."),
    Setting(
        "cluster-rpc-sync", SWITCH, "off", "Offer configuration by deltas to nodes of the versions whose form is known."
    ),
    Setting("link-frame-rate", integer(1, 100_000), "100", "Frames a second taken from one node before it is cut."),
    Setting(
        "links-max", integer(1, 1_000_000), "5000", "Links open at once. A node has two: configuration and telemetry."
    ),
    Setting(
        "link-share",
        number(0.001, 1),
        "0.5",
        "The part of links-max that one certificate may have; raise it where a large fleet shares one.",
    ),
    *AUDIT_PORT,
    *FORWARD,
    Setting("parent-fd", integer(-1, 2**20), "-1", "File descriptor whose end stops the process; set by `up`."),
)

UP: tuple[Setting, ...] = (
    *SHARED,
    Setting("port", PORT, "9443", "The one TLS port of the control plane. 0 takes any free port, here and below."),
    Setting("proxy-port", PORT, "8000", "Where the node takes HTTP."),
    Setting("proxy-ssl-port", PORT, "8443", "Where the node takes HTTPS."),
    Setting("admin-port", PORT_OR_OFF, "8001", "Admin API on loopback; off turns it off."),
    Setting("status-port", PORT, "8007", "Status, readiness and metrics of the node, on loopback."),
    Setting("audit-port", PORT_OR_OFF, "off", "Port of audit logging, TCP and UDP, on loopback; off turns it off."),
    Setting(
        "demo",
        SWITCH,
        "off",
        "Begin with the configuration of a shop, an upstream that answers for it, and callers; proxy on loopback only.",
    ),
)


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """The checked settings of one process, by name."""

    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def load_process_settings(
    table: Sequence[Setting], options: Mapping[str, str | None], environ: Mapping[str, str]
) -> ProcessSettings:
    """Options win over `TWINPLANE_*`, which win over defaults. Raises `SettingsError` with every mistake."""
    mistakes: list[Mistake] = []
    given: dict[str, tuple[str, str]] = {}
    for setting in table:
        variable = f"TWINPLANE_{setting.name.upper().replace('-', '_')}"
        option = options.get(setting.name)
        if option is not None:
            given[setting.name] = (option, "command line")
        elif variable in environ:
            given[setting.name] = (environ[variable], f"environment {variable}")
    values = read_values(table, given, mistakes)
    places = {name: place for name, (_, place) in given.items()}
    if "tls-key" in values and bool(values["tls-key"]) != bool(values["tls-certificate"]):
        problem = "must be given together with tls-key"
        mistakes.append(Mistake(places.get("tls-certificate", "settings"), "tls-certificate", problem))
    if "shared-key" in values and bool(values["shared-key"]) != bool(values["shared-certificate"]):
        problem = "must be given together with shared-key"
        mistakes.append(Mistake(places.get("shared-certificate", "settings"), "shared-certificate", problem))
    if "regions" in values:
        mistakes.extend(regions.layout_mistakes(values, places))
        mistakes.extend(addresses.address_mistakes(values, places))
    fixed = [name for name in places if name.endswith("port") and values.get(name)]
    mistakes.extend(
        Mistake(places[other], other, f"is the same port as {name}")
        for index, name in enumerate(fixed)
        for other in fixed[index + 1 :]
        if values[name] == values[other] and "advertised-port" not in (name, other)
    )
    if mistakes:
        raise SettingsError(mistakes)
    return ProcessSettings(values)
