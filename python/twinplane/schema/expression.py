"""Router expressions: whether one is well formed, in the words of the parser that nodes use.

Only judges; matching is the data plane's. The grammar: predicates `field operator value`, joined by `&&` and `||`,
grouped and negated by parentheses. What the data plane's own reader (`crates/engine/src/router/expression`) takes and
refuses is the same; random texts compare the two.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

from twinplane.schema.rust_regex import bad_rust_regex

Kind = Literal["string", "int", "ip", "cidr"]

_SPACE = re.compile(r"[ \t\r\n]*")
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")
_OPERATOR = re.compile(r"==|!=|\^=|=\^|~|>=|>|<=|<|not\s*in|in|contains")
_RAW_TEXT = re.compile(r'r#"(.*?)"#', re.DOTALL)
_TEXT = re.compile(r'"((?:\\["\\nrt]|[^"\\])*)"')
_OPEN_TEXT = re.compile(r'"(?:\\["\\nrt]|[^"\\])*')
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_NETWORK = re.compile(r"[0-9A-Fa-f:.]*[.:][0-9A-Fa-f:.]*(?:/\d+)?")
_NUMBER = re.compile(r"-?(?:0x[0-9A-Fa-f]+|\d+)")
_FUNCTION = re.compile(r"([A-Za-z][A-Za-z0-9_.]*)\s*\(")
_DEPTH_MAX = 100
_SEGMENTS = "http.path.segments."
_SEGMENT = re.compile(r"(0|[1-9]\d*)(?:_(0|[1-9]\d*))?")

_HTTP_FIELDS: dict[str, Kind] = {
    "http.method": "string",
    "http.host": "string",
    "http.path": "string",
    "http.path.segments.len": "int",
}
_HTTP_PREFIXES = ("http.headers.", "http.queries.", _SEGMENTS)
_CONNECTION_FIELDS: dict[str, Kind] = {
    "net.protocol": "string",
    "tls.sni": "string",
    "net.port": "int",
    "net.src.ip": "ip",
    "net.src.port": "int",
    "net.dst.ip": "ip",
    "net.dst.port": "int",
}
_OPERATORS: dict[Kind, frozenset[str]] = {
    "string": frozenset(("==", "!=", "^=", "=^", "~", "contains")),
    "int": frozenset(("==", "!=", ">=", ">", "<=", "<")),
    "ip": frozenset(("==", "!=")),
    "cidr": frozenset(("in", "not in")),
}


class _MalformedError(Exception):
    """The text stops being an expression; the argument is the parser's complaint."""


@dataclass(frozen=True, slots=True)
class _Predicate:
    field: str
    operator: str
    kind: Kind
    is_lowered: bool


def bad_expression(text: str, *, stream: bool) -> str | None:
    """What is wrong with an expression of an http or a stream route, or None."""
    parser = _Parser(text)
    try:
        parser.whole()
    except _MalformedError as error:
        return str(error)
    return next(
        filter(None, (_bad_predicate(predicate, stream=stream) for predicate in parser.predicates)), None
    ) or next(filter(None, (_bad_segments(predicate.field) for predicate in parser.predicates)), None)


def _bad_predicate(predicate: _Predicate, *, stream: bool) -> str | None:
    kind = _CONNECTION_FIELDS.get(predicate.field)
    if kind is None and not stream:
        kind = _HTTP_FIELDS.get(predicate.field, "string" if predicate.field.startswith(_HTTP_PREFIXES) else None)
    if kind is None:
        return "Unknown LHS field"
    expected = "cidr" if kind == "ip" and predicate.operator in ("in", "not in") else kind
    if predicate.kind != expected:
        return "Type mismatch between the LHS and RHS values of predicate"
    if predicate.is_lowered and kind != "string":
        return "lower-case transformation function only supported with String type fields"
    if predicate.operator not in _OPERATORS[expected]:
        return f"Unsupported operator '{predicate.operator}' for the LHS field"
    return None


def _bad_segments(field: str) -> str | None:
    if not field.startswith(_SEGMENTS) or field == "http.path.segments.len":
        return None
    found = _SEGMENT.fullmatch(field.removeprefix(_SEGMENTS))
    if found is None or (found[2] is not None and int(found[1]) >= int(found[2])):
        return "illformed http.path.segments.* field"
    return None


def _whole(text: str) -> int:
    """A number as it is written: hexadecimal after `0x`, octal after `0`."""
    digits = text.removeprefix("-")
    is_octal = len(digits) > 1 and digits.startswith("0") and set(digits) <= set("01234567")
    base = 16 if digits.startswith("0x") else 8 if is_octal else 10
    return int(digits, base) * (-1 if text.startswith("-") else 1)


class _Parser:
    """Walks the text once and gathers its predicates."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self.predicates: list[_Predicate] = []

    def whole(self) -> None:
        self._expression()
        if self._at < len(self._text):
            raise self._malformed("EOI or logical operator", (self._at, self._at))

    def _expression(self) -> None:
        self._term()
        while self._take("&&") or self._take("||"):
            self._term()

    def _term(self) -> None:
        negated = self._take("!")
        if self._take("("):
            self._depth += 1
            if self._depth > _DEPTH_MAX:
                raise self._malformed(
                    f"more than {_DEPTH_MAX} nested parentheses", (self._at - 1, self._at), expected=False
                )
            self._expression()
            self._depth -= 1
            if not self._take(")"):
                raise self._malformed(")", (self._at, self._at))
        elif negated:
            raise self._malformed("parenthesised expression", (self._at, self._at))
        else:
            self._predicate()

    def _predicate(self) -> None:
        field, is_lowered = self._field()
        operator = self._match(_OPERATOR)
        if operator is None:
            raise self._malformed("binary_operator", (self._at, self._at))
        spelled = "not in" if operator[0].startswith("not") else operator[0]
        self.predicates.append(_Predicate(field, spelled, self._value(spelled), is_lowered))

    def _field(self) -> tuple[str, bool]:
        depth, is_lowered = 0, False
        while (function := self._match(_FUNCTION)) is not None:
            if function[1] not in ("lower", "any"):
                complaint = f"unknown transformation function: {function[1]}"
                raise self._malformed(complaint, function.span(1), expected=False)
            is_lowered = is_lowered or function[1] == "lower"
            depth += 1
            if depth > _DEPTH_MAX:
                raise self._malformed(f"more than {_DEPTH_MAX} nested parentheses", function.span(1), expected=False)
        found = self._match(_IDENTIFIER)
        if found is None:
            raise self._malformed("term", (self._at, self._at))
        for _ in range(depth):
            if not self._take(")"):
                raise self._malformed(")", (self._at, self._at))
        return found[0], is_lowered

    def _value(self, operator: str) -> Kind:
        self._skip()
        start = self._at
        text = self._match(_RAW_TEXT) or self._match(_TEXT)
        if text is not None:
            raw = text.re is _RAW_TEXT
            pattern = text[1] if raw else re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1])
            if operator == "~" and (wrong := bad_rust_regex(pattern)) is not None:
                raise self._malformed(wrong, (start, text.end()), expected=False)
            return "string"
        unended = self._match(_OPEN_TEXT)
        if unended is not None:
            raise self._malformed("str_char or str_esc", (self._at, self._at))
        network = self._match(_NETWORK)
        if network is not None:
            return self._network(network[0], start)
        number = self._match(_NUMBER)
        if number is not None:
            if not -(2**63) <= _whole(number[0]) < 2**63:
                raise self._malformed("number too large to fit in target type", number.span(), expected=False)
            return "int"
        raise self._malformed("rhs", (start, start))

    def _network(self, text: str, start: int) -> Kind:
        try:
            if "/" not in text:
                ipaddress.ip_address(text)
                return "ip"
            ipaddress.ip_network(text)
        except ValueError as error:
            wrong = "host part of address was not zero" if "host bits" in str(error) else "invalid IP address syntax"
            raise self._malformed(wrong, (start, self._at), expected=False) from error
        return "cidr"

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found is not None else self._at

    def _take(self, token: str) -> bool:
        self._skip()
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self._skip()
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _malformed(self, complaint: str, span: tuple[int, int], *, expected: bool = True) -> _MalformedError:
        """The complaint under the line it is about, as the parser prints it."""
        start, end = span
        line = self._text.count("\n", 0, start) + 1
        line_start = self._text.rfind("\n", 0, start) + 1
        shown = self._text[line_start:].partition("\n")[0]
        column = start - line_start
        marks = "^---" if end <= start else "^" if end == start + 1 else f"^{'-' * (end - start - 2)}^"
        margin = " " * len(str(line))
        text = f"expected {complaint}" if expected else complaint
        return _MalformedError(
            f"{margin}--> {line}:{column + 1}\n{margin} |\n{line} | {shown}\n"
            f"{margin} | {' ' * column}{marks}\n{margin} |\n{margin} = {text}"
        )
