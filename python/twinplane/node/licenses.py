"""Licences in a configuration table: cut out before the core sees it, for whatever in the node watches them.

The core serves requests and knows no licence; what one of another maker holds is never a reason to refuse a table.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

_NAME = b'"licenses"'
_MARK = _NAME + b":"


def split_licenses(table: bytes) -> tuple[bytes, Sequence[str]]:
    """The table without its licences, and their texts. What is no table is handed back as it is."""
    if _NAME not in table:
        return table, ()
    # A control plane of ours puts them last: then the rest need not be decoded.
    head, _, tail = table.rpartition(b"," + _MARK)
    try:
        if head:
            return head + b"}", _texts(orjson.loads(b"{" + _MARK + tail))
    except orjson.JSONDecodeError:
        pass
    try:
        document = orjson.loads(table)
    except orjson.JSONDecodeError:
        return table, ()
    if not isinstance(document, dict) or "licenses" not in document:
        return table, ()
    texts = _texts(document)
    del document["licenses"]
    return orjson.dumps(document), texts


def _texts(document: object) -> Sequence[str]:
    rows = document.get("licenses") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        return ()
    return [row["payload"] for row in rows if isinstance(row, dict) and isinstance(row.get("payload"), str)]
