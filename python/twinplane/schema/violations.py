"""What a body does wrong: a tree of texts shaped like the body, and the one line that sums it up.

Never decides what is wrong; shapes and checks do. The texts are Kong's, since clients match on them.
"""

import re
from collections.abc import Iterator
from typing import Any

ENTITY = "@entity"

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SchemaViolation(Exception):
    """A body that breaks its schema: every violation at once, nested like the body; None in lists means fine."""

    def __init__(self, errors: dict[str, Any]) -> None:
        super().__init__(errors)
        self.errors = errors

    def message(self) -> str:
        """The summary as Kong words it: `2 schema violations (name: …; port: …)`."""
        texts = list(_texts(self.errors))
        if len(texts) == 1:
            return f"schema violation ({texts[0]})"
        return f"{len(texts)} schema violations ({'; '.join(texts)})"

    def __str__(self) -> str:
        return self.message()


def _texts(errors: dict[str, Any]) -> Iterator[str]:
    """Violations of the whole first, then fields by name; one level is dotted, deeper ones are shown as a table."""
    whole = errors.get(ENTITY)
    if whole is not None:
        yield from ([whole] if isinstance(whole, str) else whole)
    for name in sorted(name for name in errors if name != ENTITY):
        error = errors[name]
        if isinstance(error, list):
            yield from (f"{name}.{place}: {_shown(inner)}" for place, inner in enumerate(error, 1) if inner is not None)
        elif isinstance(error, dict):
            yield from (f"{name}.{key}: {_shown(error[key])}" for key in sorted(error))
        else:
            yield f"{name}: {error}"


def _shown(error: Any, indent: str = "") -> str:
    """A violation as text; nested ones in the form of a Lua table, which is what Kong puts here."""
    if isinstance(error, str):
        return error if not indent else '"' + error.replace("\\", "\\\\").replace('"', '\\"') + '"'
    inner = indent + "  "
    if isinstance(error, list):
        parts = [
            _shown(item, inner)
            if all(before is not None for before in error[:place])
            else f"[{place + 1}] = {_shown(item, inner)}"
            for place, item in enumerate(error)
            if item is not None
        ]
    else:
        parts = [
            _shown(error[key], inner) if key.isdigit() else f"{_key(key)} = {_shown(error[key], inner)}"
            for key in sorted(error)
        ]
    return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}}}"


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else f'["{key}"]'
