"""What can be found, each with a code of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CODES: Mapping[str, str] = {
    "route-unreachable": "Whatever the route matches goes to others that rank above it.",
    "route-disabled": "The route's service is disabled, so nothing matches it.",
    "rank-surprise": "Requests of the route go to another one, and under the other `route_match_calculation` do not.",
    "expression-mixes-operators": "`&&` and `||` without brackets between them: `||` binds tighter.",
    "regex-backtracks": "Takes time without bounds in engines that backtrack, as those of Kong 2.x and many languages.",
    "regex-differs": "Other engines read the pattern in another way, or refuse it.",
    "plugin-disabled": "The plugin is switched off.",
    "plugin-protocols": "None of the plugin's protocols is one of its route's.",
    "plugin-scope": "There is no request that the plugin's scope is about.",
    "plugin-consumer": "The plugin waits for a consumer, and no plugin tells who is asking.",
    "not-checked": "There are more routes than are checked for reach.",
}
"""Every code with what it says."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing. `entity` is its collection, `name` what people call it, or its id."""

    code: str
    entity: str
    name: str
    detail: str

    def json(self) -> dict[str, Any]:
        """As programs read it."""
        return {"code": self.code, "entity": self.entity, "name": self.name, "detail": self.detail}
