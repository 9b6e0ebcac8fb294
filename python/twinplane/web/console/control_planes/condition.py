"""What is wrong with a control plane and what to do about it, read off its nodes and certificates. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from cryptography import x509

from twinplane.control import ControlPlane, ExpectedHash, Node, NodeCertificate
from twinplane.settings.network import ControlPlaneType
from twinplane.web.console.nodes.telemetry import LATE_S, NOTHING, Telemetry

SILENT_S = 60.0
"""A node that has not pinged for so long is not connected (it pings every 30 s)."""
CATCH_UP_S = 30.0
"""A node may take so long to run a new configuration before it counts as out of sync."""
EXPIRES_SOON_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth a person's attention, and where to go about it."""

    kind: Literal["bad", "warn"]
    title: str
    text: str
    path: str
    action: str


def is_connected(node: Node, now: float) -> bool:
    """Whether a node is there."""
    return now - node.last_ping < SILENT_S


def is_in_sync(node: Node, expected: ExpectedHash) -> bool:
    """Whether a node runs what it should."""
    return node.config_hash == expected.hash


def findings(
    plane: ControlPlane,
    nodes: Sequence[Node],
    expected: ExpectedHash,
    certificates: Sequence[NodeCertificate],
    *,
    base: str,
    now: float,
    telemetry: Mapping[str, Telemetry] = MappingProxyType({}),
) -> list[Finding]:
    """Everything worth attention, the worst first."""
    found = [
        *_of_nodes(plane, nodes, expected, base, now),
        *_of_telemetry(nodes, telemetry, base, now),
        *_of_certificates(certificates, base, now),
    ]
    return sorted(found, key=lambda one: one.kind != "bad")


def _of_nodes(
    plane: ControlPlane, nodes: Sequence[Node], expected: ExpectedHash, base: str, now: float
) -> Iterator[Finding]:
    if not nodes and plane.cluster_type == ControlPlaneType.KIC.value:
        text = "Its configuration comes from an ingress controller. What that has to be told is one step away."
        path = f"{base}/connection-instructions"
        yield Finding("warn", "No ingress controller yet", text, path, "View Connection Instructions")
        return
    if not nodes:
        text = "Nothing serves this configuration. A node is one command away."
        yield Finding("warn", "No data plane node yet", text, f"{base}/nodes/new", "New data plane node")
        return
    silent = [node for node in nodes if not is_connected(node, now)]
    if silent:
        text = (
            f"{_names(silent)} {'does' if len(silent) == 1 else 'do'} not answer. They may still serve what they have."
        )
        kind: Literal["bad", "warn"] = "bad" if len(silent) == len(nodes) else "warn"
        yield Finding(kind, f"{len(silent)} of {len(nodes)} nodes away", text, _path(silent, base), "See nodes")
    behind = [
        node
        for node in nodes
        if is_connected(node, now) and not is_in_sync(node, expected) and now - expected.updated_at > CATCH_UP_S
    ]
    if behind:
        text = f"{_names(behind)}: connected, and not running the newest configuration."
        yield Finding("bad", "Nodes out of sync", text, _path(behind, base), "See why")
    limited = [node for node in nodes if node.issues]
    if limited:
        text = f"{_names(limited)} cannot do all of the configuration, or report a problem with it."
        yield Finding("warn", "Nodes with issues", text, _path(limited, base), "See issues")


def _of_telemetry(
    nodes: Sequence[Node], telemetry: Mapping[str, Telemetry], base: str, now: float
) -> Iterator[Finding]:
    late = [node for node in nodes if (telemetry.get(node.id, NOTHING).lag_s or 0) >= LATE_S]
    if late:
        text = f"{_names(late)}: records come long after their requests. Figures of the last minutes are too low."
        yield Finding("warn", "Telemetry is late", text, _path(late, base), "See nodes")
    losing = [node for node in nodes if telemetry.get(node.id, NOTHING).was_lost_recently(now)]
    if losing:
        text = f"{_names(losing)} could not keep all records while they could not be sent. Requests were served."
        yield Finding("warn", "Telemetry was lost", text, _path(losing, base), "See nodes")


def _of_certificates(certificates: Sequence[NodeCertificate], base: str, now: float) -> Iterator[Finding]:
    ending = [ends for ends in map(expiry_of, certificates) if ends is not None and ends - now < EXPIRES_SOON_S]
    over = sum(1 for ends in ending if ends <= now)
    path, action = f"{base}/node-certificates", "Renew"
    if over:
        text = "Nodes that use them keep serving, take no configuration and send no telemetry."
        yield Finding("bad", f"{over} node certificate{'s' * (over > 1)} expired", text, path, action)
    soon = len(ending) - over
    if soon:
        days = min((ends - now) / 86_400 for ends in ending if ends > now)
        text = f"The first one in {days:.0f} days. Add a new one, switch the nodes, then delete the old one."
        yield Finding("warn", f"{soon} node certificate{'s' * (soon > 1)} about to expire", text, path, action)


def expiry_of(certificate: NodeCertificate) -> float | None:
    """When a certificate ends; None where it cannot be read."""
    try:
        return x509.load_pem_x509_certificate(certificate.cert.encode()).not_valid_after_utc.timestamp()
    except ValueError:
        return None


def _path(nodes: Sequence[Node], base: str) -> str:
    """Where one sees what is wrong: the node where it is one, else all of them."""
    return f"{base}/nodes/{nodes[0].id}" if len(nodes) == 1 else f"{base}/nodes"


def _names(nodes: Sequence[Node]) -> str:
    names = [node.hostname for node in nodes[:3]]
    more = len(nodes) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
