"""Routes by expression that nothing reaches. Only what is sure is said: another route of higher priority, all of whose
conditions, joined by `&&`, are conditions of this one or follow from them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinplane.node.lint.findings import Finding

ROUTES_MAX = 2_000
_QUOTED = re.compile(r'r#".*?"#|"(?:[^"\\]|\\.)*"', re.DOTALL)
_COMPARED = re.compile(r'(http\.path|http\.host)\s*(==|\^=)\s*"([^"\\]*)"')
"""Of these there is one value in a request, so a longer beginning has each shorter one."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Asked:
    route: Row
    conditions: frozenset[str]

    def takes_all_of(self, other: _Asked) -> bool:
        """Whether every request of the other one is one of this."""
        if self.route["priority"] <= other.route["priority"]:
            return False
        if not set(other.route["protocols"]) <= set(self.route["protocols"]):
            return False
        return all(_follows(condition, other.conditions) for condition in self.conditions)


def lint_expressions(table: Mapping[str, Sequence[Row]]) -> Iterator[Finding]:
    """Everything about the expressions of a table that is sure."""
    disabled = {row["id"] for row in table.get("services", ()) if not row["enabled"]}
    routes = [row for row in table.get("routes", ()) if row.get("expression") and row["service"] not in disabled]
    asked = [
        _Asked(route, found) for route in routes[:ROUTES_MAX] if (found := _conditions(route["expression"])) is not None
    ]
    asked.sort(key=lambda each: -each.route["priority"])
    for at, each in enumerate(asked):
        above = next((other for other in asked[:at] if other.takes_all_of(each)), None)
        if above is not None:
            winner = above.route.get("name") or above.route["id"]
            name = each.route.get("name") or each.route["id"]
            detail = f"all that it matches goes to '{winner}', whose priority is {above.route['priority']}"
            yield Finding("route-unreachable", "routes", str(name), detail)


def _follows(condition: str, given: frozenset[str]) -> bool:
    if condition in given:
        return True
    wanted = _COMPARED.fullmatch(condition)
    if wanted is None or wanted[2] != "^=":
        return False
    found = (_COMPARED.fullmatch(each) for each in given)
    return any(each is not None and each[1] == wanted[1] and each[3].startswith(wanted[3]) for each in found)


def _conditions(expression: str) -> frozenset[str] | None:
    """What an expression asks for, if all of it has to hold; None where one part will do."""
    whole = _bare(expression.strip())
    parts = _split(whole, "&&")
    if len(_split(whole, "||")) > 1:
        return None
    found: set[str] = set()
    for part in parts:
        inner = _bare(part)
        if inner != part:
            nested = _conditions(inner)
            # What is joined by `||` counts as one condition, by its text.
            found |= {part} if nested is None else nested
        else:
            found.add(part)
    return frozenset(found)


def _bare(text: str) -> str:
    """Without the brackets around all of it."""
    while text.startswith("(") and _closing(text) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _closing(text: str) -> int:
    depth = 0
    for at, letter in _outside_quotes(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return at
    return -1


def _split(text: str, operator: str) -> list[str]:
    """The parts between the operators that stand in no brackets."""
    depth, begin, parts = 0, 0, []
    for at, letter in _outside_quotes(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and text.startswith(operator, at) and at >= begin:
            parts.append(text[begin:at].strip())
            begin = at + len(operator)
    return [*parts, text[begin:].strip()]


def _outside_quotes(text: str) -> Iterator[tuple[int, str]]:
    quoted = {at for found in _QUOTED.finditer(text) for at in range(*found.span())}
    return ((at, letter) for at, letter in enumerate(text) if at not in quoted)
