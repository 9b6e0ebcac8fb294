"""What would become of a request or a stream: a question as people write it, put to the core, answered by what serves.

Asked of the node that runs (its status port) or of a declarative file, for which a core without listeners is started.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from twinplane.node.core_settings import node_core_settings
from twinplane.node.plugin_host import PluginHost
from twinplane.node.plugin_lending import HostLimits
from twinplane.node.stream_question import is_address, is_of_stream, read_ends, stream_question
from twinplane.settings import NodeSettings

if TYPE_CHECKING:
    from twinplane.pdk import Plugin

CONSIDERED_MAX = 1_000
_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "method": str,
    "url": str,
    "scheme": str,
    "host": str,
    "path": str,
    "headers": (dict, list),
    "sni": str,
    "client_ip": str,
    "client_port": int,
    "listener_ip": str,
    "listener_port": int,
    "source": str,
    "destination": str,
    "protocol": str,
    "consumer": str,
    "http2": bool,
    "considered": int,
}
# Of a recorded request (HAR) that say nothing here.
_RECORDED_ONLY = {
    "httpVersion", "cookies", "queryString", "postData", "headersSize", "bodySize", "comment",
}  # fmt: skip
_NODE_ID = "00000000-0000-4000-8000-000000000000"


class BadQuestionError(Exception):
    """A question that is none; `mistakes` is everything that is wrong with it."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = tuple(mistakes)


def core_question(given: object) -> bytes:
    """A question as the core takes it. Raises BadQuestionError."""
    if not isinstance(given, dict):
        raise BadQuestionError(["a question is an object"])
    asked: dict[str, Any] = _from_recording(given)
    mistakes = [f"{name}: unknown field" for name in asked if name not in _FIELDS]
    sound: dict[str, Any] = {}
    for name, kind in _FIELDS.items():
        value: Any = asked.get(name)
        if value is None:
            continue
        is_kind = isinstance(value, kind)
        if not is_kind or (kind is int and isinstance(value, bool)):
            mistakes.append(f"{name}: expected {_worded(kind)}")
        elif name.endswith("_port") and not 0 <= value <= 65535:
            mistakes.append(f"{name}: expected a port")
        elif name == "considered" and not 0 <= value <= CONSIDERED_MAX:
            mistakes.append(f"considered: expected a number up to {CONSIDERED_MAX}")
        elif name.endswith("_ip") and not is_address(value):
            mistakes.append(f"{name}: expected an address")
        else:
            sound[name] = value
    ends, wrong = read_ends(sound)
    sound |= ends
    mistakes += wrong
    if is_of_stream(sound):
        question, wrong = stream_question(sound, given=asked.keys())
        mistakes += wrong
    elif not mistakes:
        question = _asked_of_core(sound)
    if mistakes:
        raise BadQuestionError(mistakes)
    return orjson.dumps(question)


def _asked_of_core(asked: Mapping[str, Any]) -> dict[str, Any]:
    headers = _headers(asked.get("headers") or {})
    parts = urlsplit(asked.get("url") or "")
    scheme = asked.get("scheme") or parts.scheme or "http"
    if scheme not in ("http", "https"):
        raise BadQuestionError([f"scheme: expected http or https, not {scheme}"])
    by_url = parts.netloc.rpartition("@")[2]
    named = [value for name, value in headers if name.lower() == "host"]
    host = asked.get("host") or next(iter(named), None) or by_url
    path = asked.get("path") or (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.startswith("/"):
        raise BadQuestionError(["path: expected to begin with /"])
    is_tls = scheme == "https"
    own_name = host.partition(":")[0] if not host.startswith("[") else None
    sni = asked.get("sni") or (own_name if is_tls and own_name and not is_address(own_name) else None)
    question: dict[str, Any] = {
        "method": asked.get("method") or "GET",
        "is_tls": is_tls,
        "is_http2": bool(asked.get("http2")),
        "host": host,
        "target": path,
        "headers": [[name, value] for name, value in headers if name.lower() != "host"],
        "sni": sni,
        "consumer": asked.get("consumer"),
        "considered_max": asked.get("considered", 20),
    }
    given = ("client_ip", "client_port", "listener_ip", "listener_port")
    return question | {name: asked[name] for name in given if asked.get(name) is not None}


def _from_recording(asked: dict[str, Any]) -> dict[str, Any]:
    """The first request of a recording (HAR), or the one that is given."""
    log = asked.get("log")
    if isinstance(log, dict):
        entries = log.get("entries")
        first = entries[0] if isinstance(entries, list) and entries else None
        if not isinstance(first, dict) or not isinstance(first.get("request"), dict):
            raise BadQuestionError(["log.entries: expected recorded requests"])
        asked = first["request"]
    elif isinstance(asked.get("request"), dict) and "url" in asked["request"]:
        asked = asked["request"]
    if "httpVersion" in asked or "headersSize" in asked:
        is_http2 = "2" in str(asked.get("httpVersion", ""))
        # Pseudo headers of HTTP/2 are no headers.
        kept = [
            header
            for header in asked.get("headers") or []
            if not (isinstance(header, dict) and str(header.get("name", "")).startswith(":"))
        ]
        own = {name: value for name, value in asked.items() if name not in _RECORDED_ONLY}
        return own | {"headers": kept, "http2": is_http2}
    return asked


def _headers(given: Mapping[str, Any] | Sequence[Any]) -> list[tuple[str, str]]:
    """`{name: value or values}`, or a list of `{"name": …, "value": …}`."""
    found: list[tuple[str, str]] = []
    if isinstance(given, Mapping):
        for name, value in given.items():
            found += [(name, str(each)) for each in (value if isinstance(value, list) else [value])]
        return found
    for header in given:
        if not isinstance(header, dict) or not isinstance(header.get("name"), str):
            raise BadQuestionError(["headers: expected objects with name and value"])
        found.append((header["name"], str(header.get("value", ""))))
    return found


def _worded(kind: type | tuple[type, ...]) -> str:
    words: dict[object, str] = {str: "a text", int: "a whole number", bool: "true or false"}
    return words.get(kind, "an object or a list")


class RouterOfFile:
    """A core that serves nobody, to ask questions of a configuration."""

    def __init__(
        self, settings: NodeSettings, table: bytes, plugins: Sequence[type[Plugin[Any]]] = (), **changed: str
    ) -> None:
        """Raises `ApplyError` where the configuration is refused. `plugins` are those in Python; none of them runs."""
        from twinplane import _dataplane  # noqa: PLC0415, TID251  # only where a file is asked

        own = orjson.loads(node_core_settings(settings, _NODE_ID, []))
        document = orjson.dumps(own | {"listeners": [], "workers": 1} | changed)
        self._core = _dataplane.Core.start(document, None, PluginHost(HostLimits(), plugins, prepares=False))
        try:
            self._core.apply(table)
        except BaseException:
            self._core.stop(0)
            raise

    def __enter__(self) -> RouterOfFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._core.stop(0)

    def ask(self, question: bytes) -> dict[str, Any]:
        """The answer to a question as the core takes it."""
        told: dict[str, Any] = orjson.loads(self._core.explain(question))
        return told
