"""The first two messages of a link of version 2: who the node is, and what both ends can do. Plain JSON. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from twinplane.hybrid.errors import FrameInvalid
from twinplane.hybrid.rpc.jsonrpc import Answer, Call, Malformed, call_message, read, result_message
from twinplane.hybrid.strict_json import read_strict
from twinplane.hybrid.wire import NodeQuery, node_query, read_labels

RPC_PATH: Final = "/v2/outlet"
SUBPROTOCOL: Final = "kong.meta.v1"
HELLO: Final = "kong.meta.v1.hello"
ENCODING: Final = "x-snappy-framed"
SYNC: Final = "kong.sync.v2"
HELLO_BYTES_MAX: Final = 1_048_576
_HELLO_ID: Final = 1
_NAMES_MAX: Final = 100
_NAME = re.compile(r"[\w.-]{1,128}")


@dataclass(frozen=True, slots=True)
class Hello:
    """What a node says of itself."""

    query: NodeQuery
    capabilities: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    conf: Mapping[str, Any] = field(default_factory=dict)


def encode_hello(hello: Hello) -> bytes:
    """The node's frame. `conf` must have its secrets masked already."""
    said = {
        "rpc_capabilities": sorted(hello.capabilities),
        "rpc_frame_encodings": [ENCODING],
        "kong_version": hello.query.version,
        "kong_hostname": hello.query.hostname,
        "kong_node_id": hello.query.node_id,
        "kong_conf": {
            **hello.conf,
            "cluster_dp_labels": [f"{name}:{value}" for name, value in sorted(hello.labels.items())],
        },
    }
    return orjson.dumps(call_message(HELLO, [said], _HELLO_ID), default=str)


def decode_hello(text: bytes) -> tuple[Hello, int | str]:
    """Who a node says it is, and the id that its answer carries. Raises FrameInvalid."""
    if len(text) > HELLO_BYTES_MAX:
        raise FrameInvalid("hello is too long", "hello_invalid")
    read_strict(text)
    part = read(text).parts[0]
    if not isinstance(part, Call) or part.method != HELLO or part.id is None or len(part.params) != 1:
        raise FrameInvalid("the first frame is no hello", "hello_invalid")
    said = part.params[0]
    if not isinstance(said, dict) or not isinstance(said.get("kong_conf"), dict):
        raise FrameInvalid("hello without kong_conf", "hello_invalid")
    if ENCODING not in _names(said.get("rpc_frame_encodings")):
        raise FrameInvalid(f"hello without the frame encoding {ENCODING}", "hello_invalid")
    given = [str(said.get(name) or "") for name in ("kong_node_id", "kong_hostname", "kong_version")]
    query = node_query(given[0], given[1], given[2])
    if query is None:
        raise FrameInvalid("hello without node id, host name or version", "hello_invalid")
    conf = said["kong_conf"]
    pairs = [entry.partition(":") for entry in _texts(conf.get("cluster_dp_labels"))]
    labels = read_labels({name: value for name, colon, value in pairs if colon})
    return Hello(query, frozenset(_names(said.get("rpc_capabilities"))), labels, conf), part.id


def encode_welcome(call_id: int | str, capabilities: Sequence[str]) -> bytes:
    """The control plane's answer."""
    return orjson.dumps(
        result_message(call_id, {"rpc_capabilities": list(capabilities), "rpc_frame_encoding": ENCODING})
    )


def decode_welcome(text: bytes) -> frozenset[str]:
    """What the control plane can do. Raises FrameInvalid."""
    part = read(text).parts[0]
    if isinstance(part, Answer) and part.error is not None:
        raise FrameInvalid(f"hello was refused: {part.error}", "hello_refused")
    if isinstance(part, Call | Malformed) or part.id != _HELLO_ID or not isinstance(part.result, dict):
        raise FrameInvalid("hello was not answered", "hello_invalid")
    if part.result.get("rpc_frame_encoding") != ENCODING:
        raise FrameInvalid("hello was answered with another frame encoding", "hello_invalid")
    return frozenset(_names(part.result.get("rpc_capabilities")))


def _texts(value: object) -> list[str]:
    # An empty table of Lua may arrive as an object.
    return [each for each in value[:_NAMES_MAX] if isinstance(each, str)] if isinstance(value, list) else []


def _names(value: object) -> list[str]:
    return [name for name in _texts(value) if _NAME.fullmatch(name)]
