"""The menu of a control plane: its sections, in the order in which people meet them."""

from __future__ import annotations

from dataclasses import dataclass

from twinplane.web.console.place import Place


@dataclass(frozen=True, slots=True)
class Group:
    """Some entries of the menu under one title. Paths are below the control plane's."""

    title: str
    entries: tuple[Place, ...]


MENU = (
    Group("", (Place("Overview", ""), Place("Traffic", "/traffic"), Place("Changes", "/changes"))),
    Group(
        "Gateway",
        (
            Place("Services", "/entities/services"),
            Place("Routes", "/entities/routes"),
            Place("Consumers", "/entities/consumers"),
            Place("Consumer groups", "/entities/consumer_groups"),
            Place("Plugins", "/entities/plugins"),
            Place("Upstreams", "/entities/upstreams"),
        ),
    ),
    Group(
        "Secrets",
        (
            Place("Certificates", "/entities/certificates"),
            Place("CA certificates", "/entities/ca_certificates"),
            Place("SNIs", "/entities/snis"),
            Place("Keys", "/entities/keys"),
            Place("Key sets", "/entities/key_sets"),
            Place("Vaults", "/entities/vaults"),
        ),
    ),
    Group(
        "Nodes",
        (
            Place("Data plane nodes", "/nodes"),
            Place("Node certificates", "/node-certificates"),
            Place("Settings", "/settings"),
        ),
    ),
)
