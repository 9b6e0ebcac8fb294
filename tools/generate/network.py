"""Writes `docs/network.md` from the constants that processes run on."""

from __future__ import annotations

from twinplane.settings.network import HOSTS, PORTS, ControlPlaneType, HostKind, Port

PAGE = "docs/network.md"
_TYPES = {ControlPlaneType.GATEWAY: "gateway", ControlPlaneType.KIC: "KIC"}


def page() -> str:
    """The whole page."""
    lines = [
        "<!-- Generated from python/twinplane/settings/network.py by `make generate`; do not edit. -->",
        "# Network",
        "",
        "Nodes and users open every connection; a control plane never dials a node. Configuration and telemetry travel",
        "over the one TLS port of the control plane, both with the node's client certificate.",
        "",
        "## Ports",
        "",
        "| side | port | transport | set by | direction | protection | for |",
        "|---|---|---|---|---|---|---|",
        *(_port_row(port) for port in PORTS),
        "",
        "`twinplane up` listens on 9443 in place of 443, so that it needs no privileges.",
        "",
        "## Host names",
        "",
        "`{domain}` is the base domain (`--domain`), `{region}` one of the served regions, `{prefix}` the DNS prefix",
        "or the id of a control plane; where two forms stand, both are answered and the first is shown. Case, a port",
        "and a final dot do not matter. The `Host` field decides, and the server name of the TLS handshake where that",
        "is a bare address: an IP address, `localhost`, a name of one label, the base domain itself, or one of",
        "`bare-hosts`. Any other name is answered with 404 in plain words; so is a host whose service is not served,",
        "as a page for browsers and as problem details for programs.",
        "",
        "| host | for | client certificate | let through for control planes of type |",
        "|---|---|---|---|",
        *(_host_row(kind) for kind in HOSTS),
    ]
    return "\n".join(lines) + "\n"


def _port_row(port: Port) -> str:
    use = port.use if port.served else f"{port.use} (not served by this version)"
    return (
        f"| {port.side} | {port.number} | {port.transport} | `{port.setting}` "
        f"| {port.direction} | {port.protection} | {use} |"
    )


def _host_row(kind: HostKind) -> str:
    types = ", ".join(_TYPES[each] for each in kind.types) or "where used"
    use = kind.use if kind.served else f"{kind.use} (not served by this version)"
    names = ", ".join(f"`{each}`" for each in kind.templates)
    return f"| {names} | {use} | {'asked for' if kind.client_certificate else 'not asked for'} | {types} |"
