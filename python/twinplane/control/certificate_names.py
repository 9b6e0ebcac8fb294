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


def show(entities: EntityTable, lookup: Lookup, rows: Sequence[Row]) -> None:
    """Put the names into rows of certificates, in place."""
    names: dict[str, list[str]] = {row["id"]: [] for row in rows}
    found = entities.naming(
        lookup.realm,
        lookup.workspace_of(lookup.type(SNIS)),
        SNIS,
        field="certificate",
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
    return list(body[FIELD] or ())
