"""Puts secrets in place of the references to them (`{vault://env/my-secret}`), just before the core and the log plugins
are handed a configuration: what a node keeps on its disk holds the references alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from twinplane.node.errors import PayloadRefused
from twinplane.settings.references import ENV, START, UnresolvedReference, is_reference, secret

if TYPE_CHECKING:
    from twinplane.schema import Field, Shape


@dataclass(frozen=True)
class Vaults:
    """The secrets that this node can reach: variables of its environment."""

    environ: Mapping[str, str]
    env_prefix: str | None = ""
    """What the names of variables begin with; None: no reference leads anywhere."""

    def resolved(self, table: bytes) -> bytes:
        """The table with secrets in place of references. Raises PayloadRefused with all that lead nowhere."""
        if START.encode() not in table:
            return table
        document: dict[str, Any] = orjson.loads(table)
        faults: list[dict[str, object]] = []
        prefixes = _prefixes(document.get("vaults") or (), self.env_prefix)
        for collection, row, shape in _rows(document):
            for path, holder, key in _references(shape, row, ""):
                try:
                    holder[key] = secret(str(holder[key]), self.environ, prefixes)
                except UnresolvedReference as error:
                    which = " ".join(str(row[one]) for one in ("name", "id") if row.get(one))
                    message = f"{collection} {which}: {path}: {holder[key]} {error}"
                    faults.append({"entity": collection, "id": row.get("id"), "field": path, "message": message})
        if faults:
            raise PayloadRefused(faults)
        return orjson.dumps(document)

    def secret(self, reference: str) -> str:
        """What a reference to the vault `env` leads to. Raises UnresolvedReference."""
        if not is_reference(reference):
            raise UnresolvedReference("is no reference: it is written {vault://env/my-secret}")
        return secret(reference, self.environ, _prefixes((), self.env_prefix))


def _prefixes(vaults: Sequence[Mapping[str, Any]], env_prefix: str | None) -> dict[str, str]:
    """What is put before the name of a variable, by the name of the vault in references."""
    if env_prefix is None:
        return {}
    own = {row["prefix"]: (row.get("config") or {}).get("prefix") or "" for row in vaults if row.get("name") == ENV}
    return {ENV: env_prefix, **own}


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
    if known.referenceable and is_reference(value):
        yield path, holder, key
    elif known.record is not None:
        yield from _references(known.record, value, path)
    elif known.elements is not None and isinstance(value, list):
        for at in range(len(value)):
            yield from _in_field(known.elements, value, at, f"{path}[{at}]")
    elif known.values is not None and isinstance(value, dict):
        for name in value:
            yield from _in_field(known.values, value, name, f"{path}.{name}")
