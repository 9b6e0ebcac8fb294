"""`/clustering/…` and `/metrics`: the data plane nodes of this control plane."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from twinplane.api.core.dispatch import Handler
from twinplane.api.core.message import Answer, Call, json_answer
from twinplane.control import Node

if TYPE_CHECKING:
    from twinplane.control import Control

_TEXT_TYPE: Final = (b"content-type", b"text/plain; charset=UTF-8")
_COMPATIBLE: Final = "COMPATIBILITY_STATE_FULLY_COMPATIBLE"

Measures = Callable[[], str]
"""What else there is to measure, in the form that Prometheus reads."""


class ClusterNodes:
    """Handlers about nodes."""

    def __init__(self, control: Control, measures: Measures | None = None) -> None:
        self._control = control
        self._measures = measures

    def paths(self) -> Mapping[str, Mapping[str, Handler]]:
        """Every path with its methods."""
        return {
            "/clustering/data-planes": {"GET": self.data_planes},
            "/clustering/status": {"GET": self.status},
            "/metrics": {"GET": self.metrics},
        }

    def data_planes(self, call: Call, _keys: tuple[str, ...]) -> Answer:
        """All nodes."""
        rows = [{"id": node.id, **_described(node)} for node in self._nodes(call)]
        return json_answer(200, {"data": rows, "next": None})

    def status(self, call: Call, _keys: tuple[str, ...]) -> Answer:
        """All nodes by id."""
        return json_answer(200, {node.id: _described(node) for node in self._nodes(call)})

    def metrics(self, call: Call, _keys: tuple[str, ...]) -> Answer:
        """All nodes as Prometheus reads them."""
        more = self._measures() if self._measures is not None else ""
        return Answer(200, ("".join(_exposition(self._nodes(call))) + more).encode(), (_TEXT_TYPE,))

    def _nodes(self, call: Call) -> Sequence[Node]:
        return self._control.nodes.list(call.site.scope)


def _described(node: Node) -> dict[str, Any]:
    expires = node.certificate_expires_at
    return {
        "hostname": node.hostname,
        "ip": node.ip,
        "version": node.version,
        "last_seen": int(node.last_ping),
        "config_hash": node.config_hash,
        "sync_status": node.sync_status,
        "labels": dict(node.labels) or None,
        "cert_details": None if expires is None else {"expiry_timestamp": int(expires)},
    }


def _exposition(nodes: Sequence[Node]) -> Iterator[str]:
    yield "# HELP kong_data_plane_last_seen Last time a data plane node contacted the control plane\n"
    yield "# TYPE kong_data_plane_last_seen gauge\n"
    for node in nodes:
        yield f"kong_data_plane_last_seen{_labels(node)} {int(node.last_ping)}\n"
    yield "# HELP kong_data_plane_config_hash Configuration hash of a data plane node as a number\n"
    yield "# TYPE kong_data_plane_config_hash gauge\n"
    for node in nodes:
        number = float(int(node.config_hash, 16)) if _is_hexadecimal(node.config_hash) else 0.0
        yield f"kong_data_plane_config_hash{_labels(node)} {number!r}\n"
    yield "# HELP kong_data_plane_version_compatible Whether the version of a data plane node is served\n"
    yield "# TYPE kong_data_plane_version_compatible gauge\n"
    for node in nodes:
        compatible = int(node.compatibility_state == _COMPATIBLE or node.sync_status == "normal")
        yield f"kong_data_plane_version_compatible{_labels(node, versioned=True)} {compatible}\n"


def _is_hexadecimal(text: str) -> bool:
    return 0 < len(text) <= 64 and all(letter in "0123456789abcdef" for letter in text)


def _labels(node: Node, *, versioned: bool = False) -> str:
    pairs = {"node_id": node.id, "hostname": node.hostname, "ip": node.ip}
    if versioned:
        pairs["kong_version"] = node.version
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
