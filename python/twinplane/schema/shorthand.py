"""Other spellings of fields: input-only aliases that are resolved before a body is tested.

An alias that one field replaced is a deprecated name; answers show it beside the new one, as clients expect.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twinplane.schema.facts import Deprecated
from twinplane.schema.rules import kong_text

Expansion = Callable[[Any, dict[str, Any]], None]


class AliasRefused(Exception):
    """An alias could not be resolved; nothing else is tested then, as in Kong."""

    def __init__(self, errors: dict[str, Any]) -> None:
        super().__init__(errors)
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Shorthand:
    """An alias: the type it accepts, and what it writes into the body in its stead."""

    name: str
    annotation: Any
    expand: Expansion | None = None
    deprecated: Deprecated | None = None
    description: str = ""

    def spell_out(self, value: Any, body: dict[str, Any]) -> None:
        """Writes the fields this alias stands for into the body."""
        if self.expand is not None:
            self.expand(value, body)
        elif self.deprecated is not None and self.deprecated.replaced_with:
            self._rename(value, body, self.deprecated.replaced_with)

    def _rename(self, value: Any, body: dict[str, Any], path: tuple[str, ...]) -> None:
        *parents, last = path
        for part in parents:
            inner = body.get(part)
            body[part] = inner = dict(inner) if isinstance(inner, dict) else {}
            body = inner
        if value is not None and body.get(last) is not None and body[last] != value:
            raise AliasRefused(
                {
                    self.name: "both deprecated and new field are used but their values mismatch: "
                    f"{self.name} = {kong_text(value)} vs {'.'.join(path)} = {kong_text(body[last])}"
                }
            )
        body[last] = value


def renamed(name: str, annotation: Any, *path: str, message: str) -> Shorthand:
    """The deprecated name of a field that now lies at `path`."""
    return Shorthand(name, annotation, deprecated=Deprecated(message, replaced_with=path))
