"""One audit line in the form of RFC 5424, written and read. Pure.

What comes from outside is made printable before it is written: a value can neither end its line nor begin another.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LINE_BYTES_MAX = 8192
VALUE_LENGTH_MAX = 1024
ELEMENTS_MAX = 16
PARAMETERS_MAX = 64
NUMBER_DIGITS_MAX = 15

# No enterprise number belongs to the project; this one is set aside for such use (RFC 5612).
ORIGIN_ELEMENT = "twinplane@32473"
EVENT_ELEMENT = "event@32473"
AUTH_ELEMENT = "auth@32473"

AUDIT_FACILITY = 13
NOTICE, WARNING, INFO = 5, 4, 6

_HEADER = re.compile(
    rb"<(?P<priority>0|[1-9]\d{0,2})>1 (?P<timestamp>\S{1,64}) (?P<hostname>[!-~]{1,255}) (?P<app>[!-~]{1,48})"
    rb" (?P<process>[!-~]{1,128}) (?P<message_id>[!-~]{1,32}) "
)
_NAME = re.compile(rb"[!#-<>-\\^-~]{1,32}")
_VALUE = re.compile(rb'"((?:[^"\\\]]|\\.)*)"', re.DOTALL)
_UNESCAPE = re.compile(r'\\(["\\\]])')
_ESCAPE = str.maketrans({"\\": "\\\\", '"': '\\"', "]": "\\]"})
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_BOM = b"\xef\xbb\xbf"


class LineInvalid(Exception):
    """Not a line of RFC 5424, or beyond a limit."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it was read. `elements` is its structured data, `spans` where each value stands in the bytes."""

    raw: bytes
    priority: int
    at: float | None
    hostname: str
    app: str
    message_id: str
    elements: Mapping[str, Mapping[str, str]]
    spans: Mapping[tuple[str, str], tuple[int, int]]
    message: str

    def value(self, element: str, parameter: str) -> str:
        """A parameter; empty where it is absent."""
        return self.elements.get(element, {}).get(parameter, "")


@dataclass(frozen=True, slots=True)
class Draft:
    """A line to be written."""

    severity: int
    at: float
    hostname: str
    app: str
    process: str
    message_id: str
    elements: Sequence[tuple[str, Mapping[str, str]]] = field(default_factory=tuple)
    message: str = ""

    def encode(self) -> bytes:
        """The line, without a frame. Too long a value is cut."""
        header = (
            f"<{AUDIT_FACILITY * 8 + self.severity}>1 {timestamp(self.at)} {_word(self.hostname, 255)}"
            f" {_word(self.app, 48)} {_word(self.process, 128)} {_word(self.message_id, 32)} "
        )
        data = "".join(_element(name, values) for name, values in self.elements) or "-"
        message = f" {printable(self.message, LINE_BYTES_MAX)}" if self.message else ""
        return f"{header}{data}{message}".encode()


def printable(text: str, length_max: int = VALUE_LENGTH_MAX) -> str:
    """`text` with everything that is not a printable character written out, and not longer than asked."""
    cut = text[:length_max]
    if cut.isprintable():
        return cut
    return "".join(one if one.isprintable() else f"\\u{{{ord(one):x}}}" for one in cut)[:length_max]


def timestamp(at: float) -> str:
    """A moment as RFC 3339 with milliseconds, in UTC."""
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def read_number(text: str) -> int | None:
    """The number of a line; None where it is none, or longer than records hold."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS_MAX else None


def parse_line(raw: bytes) -> Line:
    """Read a line. Raises LineInvalid."""
    header = _HEADER.match(raw)
    if header is None or int(header["priority"]) > 191:
        raise LineInvalid("not a line of RFC 5424")
    elements, spans, end = _read_elements(raw, header.end())
    message = raw[end:]
    if message and not message.startswith(b" "):
        raise LineInvalid("the message is not set apart")
    text = message[1:].removeprefix(_BOM).decode("utf-8", "replace")
    return Line(
        raw,
        int(header["priority"]),
        _moment(header["timestamp"].decode("latin-1")),
        header["hostname"].decode(),
        header["app"].decode(),
        header["message_id"].decode(),
        elements,
        spans,
        printable(text, LINE_BYTES_MAX),
    )


def _read_elements(
    raw: bytes, at: int
) -> tuple[dict[str, dict[str, str]], dict[tuple[str, str], tuple[int, int]], int]:
    elements: dict[str, dict[str, str]] = {}
    spans: dict[tuple[str, str], tuple[int, int]] = {}
    if raw[at : at + 1] == b"-":
        return elements, spans, at + 1
    while raw[at : at + 1] == b"[":
        name = _NAME.match(raw, at + 1)
        if name is None or name[0].decode() in elements or len(elements) >= ELEMENTS_MAX:
            raise LineInvalid("structured data with a wrong, repeated or surplus element")
        element = name[0].decode()
        values = elements[element] = {}
        at = name.end()
        while raw[at : at + 1] == b" ":
            parameter = _NAME.match(raw, at + 1)
            value = None if parameter is None else _VALUE.match(raw, parameter.end() + 1)
            if parameter is None or value is None or raw[parameter.end() : parameter.end() + 1] != b"=":
                raise LineInvalid("structured data with a wrong parameter")
            key = parameter[0].decode()
            if key in values or len(spans) >= PARAMETERS_MAX:
                raise LineInvalid("structured data with a repeated or surplus parameter")
            text = _UNESCAPE.sub(r"\1", value[1].decode("utf-8", "replace"))
            values[key] = printable(text)
            spans[element, key] = value.span(1)
            at = value.end()
        if raw[at : at + 1] != b"]":
            raise LineInvalid("structured data without an end")
        at += 1
    if not elements:
        raise LineInvalid("no structured data")
    return elements, spans, at


def _moment(text: str) -> float | None:
    if not _TIMESTAMP.fullmatch(text):
        return None
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _word(text: str, length_max: int) -> str:
    """A field of the header: no spaces, ASCII only; a dash where nothing is left."""
    return "".join(one if "!" <= one <= "~" else "_" for one in text[:length_max]) or "-"


def _element(name: str, values: Mapping[str, str]) -> str:
    parameters = "".join(f' {key}="{printable(value).translate(_ESCAPE)}"' for key, value in values.items())
    return f"[{name}{parameters}]"
