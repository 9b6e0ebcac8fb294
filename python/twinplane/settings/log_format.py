"""Forms of the access log: `nginx_http_log_format = name '$remote_addr $status …'`, as nginx reads it. Pure.

Everything that is wrong with a form is told at once, each variable that nobody knows by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from twinplane.settings.setting import Kind

BUILT_IN = ("combined", "kong_log_format")
_ESCAPES = ("default", "json", "none")
_WORD = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s"';]\S*))(?=\s|$)""", re.DOTALL)
_ESCAPED = re.compile(r"\\([\\\"'trn])")
_UNESCAPED = {"t": "\t", "r": "\r", "n": "\n"}
_VARIABLE = re.compile(r"\$(?:\{(\w*)\}|(\w*))", re.ASCII)
# By nginx's names; the core knows the same ones.
VALUES = frozenset(
    [
        "args",
        "body_bytes_sent",
        "bytes_sent",
        "connection",
        "connection_requests",
        "host",
        "hostname",
        "is_args",
        "msec",
        "pid",
        "realip_remote_addr",
        "realip_remote_port",
        "remote_addr",
        "remote_port",
        "remote_user",
        "request",
        "request_id",
        "request_length",
        "request_method",
        "request_time",
        "request_uri",
        "scheme",
        "server_addr",
        "server_port",
        "server_protocol",
        "ssl_cipher",
        "ssl_protocol",
        "ssl_server_name",
        "status",
        "time_iso8601",
        "time_local",
        "upstream_addr",
        "upstream_connect_time",
        "upstream_header_time",
        "upstream_response_time",
        "upstream_status",
        "uri",
    ]
)
_ALIASES = {"document_uri": "uri", "query_string": "args", "kong_request_id": "request_id"}
_PREFIXES = (("sent_http_", "response_header"), ("http_", "request_header"), ("arg_", "argument"))


@dataclass(frozen=True, slots=True)
class LogFormat:
    """A form by its name; `parts` are kinds and texts, as the core reads them."""

    name: str
    escape: str
    parts: tuple[tuple[str, str], ...]
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class AccessPlace:
    """Where lines go, and in which form."""

    path: Path
    format: str = BUILT_IN[0]

    def __str__(self) -> str:
        return str(self.path) if self.format in BUILT_IN else f"{self.path} {self.format}"


def read_log_format(text: str) -> LogFormat:
    """The form that a directive defines. Raises ValueError with everything that is wrong."""
    words = list(_words(text))
    name, *rest = words or [""]
    problems = [] if re.fullmatch(r"[A-Za-z_][\w-]*", name) else [f"expected a name and a text, got '{text[:40]}'"]
    if name in BUILT_IN:
        problems.append(f"'{name}' is there already")
    escape = "default"
    if rest and rest[0].startswith("escape="):
        escape = rest.pop(0).removeprefix("escape=")
        if escape not in _ESCAPES:
            problems.append(f"expected escape={', escape='.join(_ESCAPES)}, got escape={escape[:20]}")
    if not rest and not problems:
        problems.append("expected a text behind the name")
    parts = tuple(_parts("".join(rest)))
    unknown = list(dict.fromkeys(found for kind, found in parts if kind == "unknown"))
    if unknown:
        names = ", ".join(f"${each}" for each in unknown)
        problems.append(f"unknown variable{'s' if len(unknown) > 1 else ''} {names}")
    if problems:
        raise ValueError("; ".join(problems))
    return LogFormat(name, escape, parts, text)


def read_access_place(text: str) -> AccessPlace | None:
    """What a directive says about the access log of the proxy; None for `off`. Raises ValueError."""
    path, *more = text.split()
    if path.startswith("syslog:"):
        raise ValueError("expected off, /dev/stdout or a file; the syslog plugin writes to the system log")
    if len(more) > 1:
        raise ValueError(f"expected a file and a format, got '{text}'")
    return None if path == "off" else AccessPlace(Path(path), *more)


def _words(text: str) -> Iterator[str]:
    at = 0
    while at < len(text.rstrip()):
        found = _WORD.match(text, at)
        if found is None:
            raise ValueError(f"cannot be read from '{text[at : at + 20].strip()}' on: a quote is missing or in the way")
        quoted = found[1] if found[1] is not None else found[2]
        word = found[3] if quoted is None else quoted
        yield _ESCAPED.sub(lambda each: _UNESCAPED.get(each[1], each[1]), word)
        at = found.end()


def _parts(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    for found in _VARIABLE.finditer(text):
        if found.start() > at:
            yield "text", text[at : found.start()]
        yield _part(found[1] if found[1] is not None else found[2])
        at = found.end()
    if at < len(text):
        yield "text", text[at:]


def _part(name: str) -> tuple[str, str]:
    own = _ALIASES.get(name, name)
    if own in VALUES:
        return "value", own
    for prefix, kind in _PREFIXES:
        rest = name.removeprefix(prefix)
        if rest and rest != name:
            return kind, rest if kind == "argument" else rest.lower().replace("_", "-")
    return "unknown", name


LOG_FORMAT: Kind[LogFormat] = Kind("name and text", read_log_format)
PROXY_ACCESS_PLACE: Kind[AccessPlace | None] = Kind("off, or path and format", read_access_place)
