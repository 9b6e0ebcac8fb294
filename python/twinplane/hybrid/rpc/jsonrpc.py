"""JSON-RPC 2.0 as both ends speak it: parameters are always an array, a message may be a batch. Pure.

What a peer sends is untrusted: sizes, types and names are checked here, and nothing else of it is believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from twinplane.hybrid.errors import FrameInvalid

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
SERVER_ERROR: Final = -32000

BATCH_MAX: Final = 100
_PARAMS_MAX: Final = 16
_METHOD_MAX: Final = 128
_TEXT_MAX: Final = 512
_ID_MAX: Final = 64
_TEXTS: Final = {
    PARSE_ERROR: "Parse error",
    INVALID_REQUEST: "Invalid Request",
    METHOD_NOT_FOUND: "Method not found",
    INVALID_PARAMS: "Invalid params",
    INTERNAL_ERROR: "Internal error",
}

CallId = int | str
Message = dict[str, Any]


class CallRefused(Exception):
    """A call that is answered with an error."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(text or _TEXTS.get(code, "Server error"))
        self.code = code


@dataclass(frozen=True, slots=True)
class Call:
    """Someone asks for something; without an id nobody waits for an answer."""

    method: str
    params: Sequence[Any]
    id: CallId | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call of ours."""

    id: CallId | None
    result: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that is neither; `id` is its own where it could be read."""

    id: CallId | None


Part = Call | Answer | Malformed


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one frame holds: one message, or a batch that is answered by one."""

    parts: Sequence[Part]
    is_batch: bool


def read(text: bytes) -> Parcel:
    """The messages in a frame. Raises FrameInvalid where it is no JSON; what is no message is `Malformed`."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise FrameInvalid("not JSON", "not_json") from error
    if not isinstance(value, list):
        return Parcel([_part(value)], is_batch=False)
    if not value or len(value) > BATCH_MAX:
        return Parcel([Malformed(None)], is_batch=False)
    return Parcel([_part(each) for each in value], is_batch=True)


def _part(value: object) -> Part:
    if not isinstance(value, dict):
        return Malformed(None)
    call_id = value.get("id")
    if not _is_id(call_id):
        return Malformed(None)
    if value.get("jsonrpc") != "2.0":
        return Malformed(call_id)
    if "method" not in value:
        return _answer(value, call_id)
    method, params = value["method"], value.get("params", [])
    # An empty table of Lua arrives as an object.
    params = [] if params == {} else params
    if not isinstance(method, str) or len(method) > _METHOD_MAX:
        return Malformed(call_id)
    if not isinstance(params, list) or len(params) > _PARAMS_MAX:
        return Malformed(call_id)
    return Call(method, params, call_id)


def _answer(value: Mapping[str, Any], call_id: CallId | None) -> Part:
    error = value.get("error")
    if isinstance(error, dict):
        text = error.get("message")
        return Answer(call_id, error=text[:_TEXT_MAX] if isinstance(text, str) else "error")
    if "result" not in value or call_id is None:
        return Malformed(call_id)
    return Answer(call_id, value["result"])


def _is_id(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return value is None or isinstance(value, int) or (isinstance(value, str) and len(value) <= _ID_MAX)


def call_message(method: str, params: Sequence[Any], call_id: CallId | None = None) -> Message:
    """A call; without an id, a notification."""
    message: Message = {"jsonrpc": "2.0", "method": method, "params": list(params)}
    return message if call_id is None else message | {"id": call_id}


def result_message(call_id: CallId, result: Any) -> Message:
    """The answer to a call."""
    return {"jsonrpc": "2.0", "id": call_id, "result": result}


def error_message(call_id: CallId | None, refused: CallRefused) -> Message:
    """The answer to a call, or to a message that could not be read and has no id then."""
    message: Message = {"jsonrpc": "2.0", "error": {"code": refused.code, "message": str(refused)[:_TEXT_MAX]}}
    return message if call_id is None else message | {"id": call_id}
