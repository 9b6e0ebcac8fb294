"""Rust structs from shapes: what crosses the door from Python, field by field."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from twinplane.schema import Field, Shape

_KEYWORDS = {"type", "match", "ref", "use", "self", "loop", "move", "box"}
_BOOLS_MAX = 3
_SCALARS = {"string": "Box<str>", "integer": "i64", "number": "f64", "boolean": "bool", "json": "Box<RawValue>"}


@dataclass
class Structs:
    """Structs that are being written. `record` says what a record becomes: the name of a struct or a type as it is."""

    visibility: str
    record: Callable[[str, Field], str]
    narrow: bool = False
    derive: str = "Clone, Debug, Deserialize"
    texts: list[str] = field(default_factory=list)

    def add(self, name: str, doc: str, shape: Shape, *, leave_out: frozenset[str] = frozenset()) -> None:
        """A struct of every field of a shape."""
        rows = [
            f"    {self._attribute(key)}{self.visibility} {_identifier(key)}: {self._type(f'{name}.{key}', inner)},"
            for key, inner in shape.fields.items()
            if key not in leave_out
        ]
        bools = sum(": bool," in row for row in rows)
        allowed = ["dead_code"] if self.visibility != "pub" else []
        allowed += ["clippy::struct_excessive_bools"] if bools > _BOOLS_MAX else []
        lint = f'#[allow({", ".join(allowed)}, reason = "as declared")]\n' if allowed else ""
        derive = f"#[derive({self.derive})]\n#[serde(deny_unknown_fields)]\n"
        self.texts.append(f"/// {doc}\n{derive}{lint}{self.visibility} struct {name} {{\n" + "\n".join(rows) + "\n}\n")

    def _attribute(self, key: str) -> str:
        return "" if key.isidentifier() and key.islower() else f'#[serde(rename = "{key}")]\n    '

    def _type(self, path: str, known: Field) -> str:
        bare = self._bare(path, known)
        is_there = known.required or known.abstract or path.endswith(".id")
        return bare if is_there else f"Option<{bare}>"

    def _bare(self, path: str, known: Field) -> str:
        match known.kind:
            case "foreign":
                return "Id"
            case "string" if any(type(rule).__name__ == "Uuid" for rule in known.rules):
                return "Id"
            case "array" | "set":
                return f"Vec<{self._bare(path, _inner(known.elements))}>"
            case "map":
                return f"BTreeMap<Box<str>, {self._bare(path, _inner(known.values))}>"
            case "record":
                return self.record(path, known)
            case "integer" if self.narrow and _fits_u16(known):
                return "u16"
            case kind:
                return _SCALARS[kind]


def _inner(known: Field | None) -> Field:
    if known is None:
        raise TypeError("a list or map without the type of its elements")
    return known


def _fits_u16(known: Field) -> bool:
    bounds = [(rule.low, rule.high) for rule in known.rules if type(rule).__name__ == "Between"]  # type: ignore[attr-defined]
    return bool(bounds) and bounds[0][0] >= 0 and bounds[0][1] <= 65535


def _identifier(key: str) -> str:
    plain = key.lower().replace("-", "_")
    return f"r#{plain}" if plain in _KEYWORDS else plain


def camel(text: str) -> str:
    """`key-auth`, `key_auth` -> `KeyAuth`."""
    return "".join(part.capitalize() for part in text.replace("-", "_").split("_"))


def imports(text: str) -> Iterator[str]:
    """The `use` lines that a text of structs needs."""
    if "BTreeMap<" in text:
        yield "use std::collections::BTreeMap;\n"
    yield "use serde::Deserialize;"
    if "RawValue" in text:
        yield "use serde_json::value::RawValue;"
    yield ""


def formatted(text: str) -> str:
    """The text as rustfmt leaves it."""
    command = ["rustfmt", "--edition", "2024", "--emit", "stdout", "--quiet"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return done.stdout
