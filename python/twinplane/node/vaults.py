"""Puts secrets in place of the references to them (`{vault://env/my-secret}`), just before the core and the log plugins
are handed a configuration: what a node keeps on its disk holds the references alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import orjson

from twinplane.node.errors import PayloadRefused

if TYPE_CHECKING:
    from twinplane.schema import Field, Shape

_START = "{vault://"
_ENV = "env"


class UnresolvedReference(Exception):
    """A reference that leads to no secret; its text says why, and never shows a secret."""


@dataclass(frozen=True)
class Vaults:
    """The secrets that this node can reach: variables of its environment."""

    environ: Mapping[str, str]

    def resolved(self, table: bytes) -> bytes:
        """The table with secrets in place of references. Raises PayloadRefused with all that lead nowhere."""
        if _START.encode() not in table:
            return table
        document: dict[str, Any] = orjson.loads(table)
        faults: list[dict[str, object]] = []
        prefixes = _prefixes(document.get("vaults") or ())
        for collection, row, shape in _rows(document):
            for path, holder, key in _references(shape, row, ""):
                try:
                    holder[key] = self._secret(str(holder[key]), prefixes)
                except UnresolvedReference as error:
                    message = f"{path}: {holder[key]} {error}"
                    faults.append({"entity": collection, "id": row.get("id"), "field": path, "message": message})
        if faults:
            raise PayloadRefused(faults)
        return orjson.dumps(document)

    def _secret(self, reference: str, prefixes: Mapping[str, str]) -> str:
        parts = urlsplit(reference[1:-1])
        resource, _, key = parts.path.strip("/").partition("/")
        if parts.netloc not in prefixes or not resource:
            raise UnresolvedReference("names no vault of this node")
        given = parse_qs(parts.query).get("prefix", [prefixes[parts.netloc]])[0]
        name = f"{given}{resource}".replace("-", "_").upper()
        value = self.environ.get(name)
        if value is None:
            raise UnresolvedReference(f"leads nowhere: the variable {name} is not set")
        return _member(value, key, name) if key else value


def _member(value: str, key: str, name: str) -> str:
    try:
        members = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise UnresolvedReference(f"asks for a member, and the variable {name} holds no JSON") from error
    found = members.get(key) if isinstance(members, dict) else None
    if not isinstance(found, str):
        raise UnresolvedReference(f"asks for a member that the variable {name} does not hold as text")
    return found


def _prefixes(vaults: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What is put before the name of a variable, by the name of the vault in references."""
    own = {row["prefix"]: (row.get("config") or {}).get("prefix") or "" for row in vaults if row.get("name") == _ENV}
    return {_ENV: "", **own}


def _rows(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], Shape]]:
    """Every row that can hold references, with its shape."""
    # Loaded where it is needed: most configurations hold no reference, and the declarations take memory.
    from twinplane.registry import entity_types, plugin_types  # noqa: PLC0415

    plugins = plugin_types()
    for collection, entity in entity_types().items():
        rows = document.get(collection)
        for row in rows if isinstance(rows, list) else ():
            if collection != "plugins":
                yield collection, row, entity.shape
            elif row.get("name") in plugins:
                yield collection, row, plugins[row["name"]].shape


def _references(shape: Shape, record: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Path, holder and key of every reference in a record, where its field may hold one."""
    if not isinstance(record, dict):
        return
    for name, known in shape.fields.items():
        if name in record:
            yield from _in_field(known, record, name, f"{path}.{name}" if path else name)


def _in_field(known: Field, holder: Any, key: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    value = holder[key]
    if known.referenceable and _is_reference(value):
        yield path, holder, key
    elif known.record is not None:
        yield from _references(known.record, value, path)
    elif known.elements is not None and isinstance(value, list):
        for at in range(len(value)):
            yield from _in_field(known.elements, value, at, f"{path}[{at}]")
    elif known.values is not None and isinstance(value, dict):
        for name in value:
            yield from _in_field(known.values, value, name, f"{path}.{name}")


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_START) and value.endswith("}")
