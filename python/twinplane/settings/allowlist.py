"""What a network must let through, as rows: derived from the tables of ports and hosts that processes run on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twinplane.settings.network import (
    AUDIT_PORT,
    CONFIGURATION,
    CONTROL_PLANE_PORT,
    GLOBAL,
    HOSTS,
    PROXY_PORT,
    PROXY_TLS_PORT,
    TELEMETRY,
    TOOLS,
    ControlPlaneType,
    HostKind,
)

_NODE_HOSTS = (CONFIGURATION, TELEMETRY)
_SHOWN = {
    "deck": "decK",
    "kic": "KIC",
    "terraform": "Terraform",
    "browser": "browsers",
    "portal": "portal visitors",
    "feed": "feed readers",
}
_SHOWN_TYPES = {ControlPlaneType.GATEWAY: "gateway", ControlPlaneType.KIC: "KIC"}
ANY = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to let through. `at` is where the rule stands, `host` the other end (out) or who comes (in: any)."""

    at: str
    direction: str
    host: str
    port: int
    transport: str
    by: str
    why: str
    client_certificate: bool = False


@dataclass(frozen=True, slots=True)
class Plane:
    """One control plane: its type, and the host names of its links. Without exact names, patterns of a region."""

    region: str
    type: ControlPlaneType
    configuration: str
    telemetry: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to allow. Without `tools`, those that the types of the control planes call for."""

    domain: str
    regions: Sequence[str]
    planes: Sequence[Plane]
    tools: Sequence[str] | None = None
    port: int = CONTROL_PLANE_PORT.number
    audit_port: int | None = AUDIT_PORT.number


def any_plane(domain: str, region: str, kind: ControlPlaneType) -> Plane:
    """Whichever control planes of a type there are in a region."""
    return Plane(
        region,
        kind,
        CONFIGURATION.host(domain=domain, region=region, prefix=ANY),
        TELEMETRY.host(domain=domain, region=region, prefix=ANY),
    )


def rules_for(wanted: Wanted) -> list[Rule]:
    """Every rule, each once, nodes before tools before what listens."""
    rules = [*_node_rules(wanted), *_tool_rules(wanted), *_listening_rules(wanted)]
    return list(dict.fromkeys(rules))


def as_text(rules: Sequence[Rule]) -> str:
    """A table with a line for each rule."""
    head = ("AT", "DIRECTION", "HOST", "PORT", "CERTIFICATE", "BY", "FOR")
    rows = [
        (
            rule.at,
            rule.direction,
            rule.host,
            f"{rule.port}/{rule.transport}",
            "of the node" if rule.client_certificate else "-",
            rule.by,
            rule.why,
        )
        for rule in rules
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    )


def _node_rules(wanted: Wanted) -> Iterator[Rule]:
    for plane in wanted.planes:
        for kind, host in ((CONFIGURATION, plane.configuration), (TELEMETRY, plane.telemetry)):
            if plane.type in kind.types:
                yield Rule("nodes", "out", host, wanted.port, "TCP", "nodes", kind.use, client_certificate=True)
        if wanted.audit_port is not None and plane.type in CONFIGURATION.types:
            for transport in ("TCP", "UDP"):
                # Lines go where configuration comes from, unless audit_endpoint says otherwise.
                yield Rule(
                    "nodes",
                    "out",
                    plane.configuration,
                    wanted.audit_port,
                    transport,
                    "nodes",
                    AUDIT_PORT.use,
                    client_certificate=transport == "TCP",
                )


def _tool_rules(wanted: Wanted) -> Iterator[Rule]:
    for kind in HOSTS:
        if kind in _NODE_HOSTS:
            continue
        for region in wanted.regions if kind.is_regional else (GLOBAL,):
            by = _asked_by(kind, region, wanted)
            if by:
                host = kind.host(domain=wanted.domain, region=region, prefix=ANY)
                why = kind.use if kind.served else f"{kind.use} (not enabled yet: answers so)"
                yield Rule(
                    "tools", "out", host, wanted.port, "TCP", by, why, client_certificate=kind.client_certificate
                )


def _asked_by(kind: HostKind, region: str, wanted: Wanted) -> str:
    """Who asks for a host of a kind; empty where nobody does."""
    if wanted.tools is not None:
        return ", ".join(_SHOWN.get(tool, tool) for tool in TOOLS if tool in wanted.tools and tool in kind.tools)
    types = [
        shown
        for each, shown in _SHOWN_TYPES.items()
        if each in kind.types
        and any(plane.type is each and region in (plane.region, GLOBAL) for plane in wanted.planes)
    ]
    return f"{' and '.join(types)} control planes" if types else ""


def _listening_rules(wanted: Wanted) -> Iterator[Rule]:
    for port in (PROXY_PORT, PROXY_TLS_PORT):
        yield Rule("nodes", "in", ANY, port.number, "TCP", "consumers", port.use)
    why = CONTROL_PLANE_PORT.use
    yield Rule("control plane", "in", ANY, wanted.port, "TCP", "nodes and users", why, client_certificate=False)
    if wanted.audit_port is not None:
        for transport in ("TCP", "UDP"):
            yield Rule("control plane", "in", ANY, wanted.audit_port, transport, "nodes", AUDIT_PORT.use)
