"""The names of a certificate: `snis` in its body are entities of their own, made, kept and removed with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from twinplane.control.scope import Row

if TYPE_CHECKING:
    from twinplane.control.lookup import Lookup
    from twinplane.store.sql import EntityTable

CERTIFICATES = "certificates"
SNIS = "snis"
FIELD = "snis"
REFERENCE = "certificate"


def show(entities: EntityTable, lookup: Lookup, rows: Sequence[Row]) -> None:
    """Put the names into rows of certificates, in place."""
    names: dict[str, list[str]] = {row["id"]: [] for row in rows}
    found = entities.naming(
        lookup.realm,
        lookup.workspace_of(lookup.type(SNIS)),
        SNIS,
        field=REFERENCE,
        target_type=CERTIFICATES,
        target_ids=list(names),
    )
    for certificate_id, body in found:
        names[certificate_id].append(orjson.loads(body)["name"])
    for row in rows:
        row[FIELD] = sorted(names[row["id"]])


def wanted(body: Mapping[str, Any], *, is_whole: bool) -> list[str] | None:
    """The names that a body asks for; None where it says nothing. A whole body without names has none."""
    if FIELD not in body:
        return [] if is_whole else None
    names = body[FIELD] or []
    # What is no list of texts is left to the schema to refuse.
    return list(dict.fromkeys(names)) if _are_texts(names) else None


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
