"""Audit records, read: newest first, by time, control plane, node and kind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from twinplane.api.core.message import Query
from twinplane.api.konnect.context import Context, read_context
from twinplane.api.konnect.errors import Problem
from twinplane.api.konnect.models import rfc3339
from twinplane.api.konnect.queries import read_cursor, read_filters, read_size, written_cursor
from twinplane.control.audit import AuditFilter, AuditRecord
from twinplane.control.errors import InvalidParameter

router = APIRouter(prefix="/v2/audit-logs", tags=["audit logs"])

Asked = Annotated[Context, Depends(read_context)]

SIZE_DEFAULT: Final = 20
_TEXTS: Final = ("control_plane_id", "node_id", "kind")
_KNOWN: Final = {"at": {"gte", "lte"}, **{name: {"eq"} for name in _TEXTS}}


class AuditActor(BaseModel):
    """Who did it."""

    kind: str
    id: str
    name: str


class AuditEntry(BaseModel):
    """One record."""

    id: int
    at: str
    kind: str
    result: str
    control_plane_id: str | None
    node_id: str | None
    certificate_id: str | None
    actor: AuditActor | None
    client_ip: str | None
    request_id: str | None
    detail: dict[str, Any]
    hash: str

    @classmethod
    def of(cls, record: AuditRecord) -> AuditEntry:
        """A record as it is answered."""
        actor = record.actor
        return cls(
            id=record.position,
            at=rfc3339(record.at),
            kind=record.kind,
            result=record.result,
            control_plane_id=record.control_plane_id,
            node_id=record.node_id,
            certificate_id=record.certificate_id,
            actor=None if actor is None else AuditActor(kind=actor.kind, id=actor.id, name=actor.name),
            client_ip=record.client_ip,
            request_id=record.request_id,
            detail=dict(record.detail),
            hash=record.hash,
        )


class AuditPageLinks(BaseModel):
    """Where to go on."""

    next: str | None
    previous: str | None
    size: int


class AuditMeta(BaseModel):
    """What is beside the data."""

    page: AuditPageLinks


class AuditEntries(BaseModel):
    """One page of records."""

    data: list[AuditEntry]
    meta: AuditMeta


@router.get("")
async def list_audit_logs(context: Asked) -> AuditEntries:
    """One page of records, newest first."""
    invalid: list[InvalidParameter] = []
    query = context.query
    size = read_size(query, SIZE_DEFAULT, invalid)
    below = _position(query, "page[after]", invalid)
    above = _position(query, "page[before]", invalid)
    wanted = _filter(query, invalid)
    if invalid:
        raise Problem(400, "Invalid parameters", invalid)
    # One more than asked for tells whether there is a page beyond.
    found = await context.run(
        context.control.audit.page, context.organization_id, wanted, size=size + 1, below=below, above=above
    )
    has_more = len(found) > size
    rows = found[len(found) - size :] if above is not None and has_more else found[:size]
    return AuditEntries(
        data=[AuditEntry.of(row) for row in rows],
        meta=AuditMeta(page=_links(context, rows, size, below=below, above=above, has_more=has_more)),
    )


@router.get("/status")
async def get_audit_status(context: Asked) -> dict[str, Any]:
    """Counters of the audit port, of what waits to be kept, and of what is sent on."""
    counters = context.services.audit_counters
    if counters is None:
        raise Problem(404, "This process keeps no audit records")
    return dict(counters())


def _links(
    context: Context, rows: Sequence[AuditRecord], size: int, *, below: int | None, above: int | None, has_more: bool
) -> AuditPageLinks:
    has_next = bool(rows) and (has_more or above is not None)
    has_previous = bool(rows) and (below is not None or (above is not None and has_more))
    kept = [(name, value) for name, value in context.query.items() if not name.startswith("page[") and value]

    def link(name: str, row: AuditRecord) -> str:
        pairs = [*kept, (name, written_cursor(str(row.position))), ("page[size]", str(size))]
        return f"{context.path}?{'&'.join(f'{quote(key)}={quote(value)}' for key, value in pairs)}"

    return AuditPageLinks(
        next=link("page[after]", rows[-1]) if has_next else None,
        previous=link("page[before]", rows[0]) if has_previous else None,
        size=size,
    )


def _position(query: Query, name: str, invalid: list[InvalidParameter]) -> int | None:
    text = read_cursor(query, name, invalid)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        invalid.append(InvalidParameter(name, "invalid", "is not a cursor of an earlier page", "query"))
        return None
    return int(text)


def _filter(query: Query, invalid: list[InvalidParameter]) -> AuditFilter:
    filters = read_filters(query)
    for field, operators in filters.items():
        known = _KNOWN.get(field, set())
        invalid.extend(
            InvalidParameter(f"filter[{field}][{operator}]", "invalid", "is no filter of this list", "query")
            for operator in operators
            if operator not in known
        )
    texts = {name: filters.get(name, {}).get("eq") for name in _TEXTS}
    moments = filters.get("at", {})
    return AuditFilter(
        since=_moment("gte", moments.get("gte"), invalid),
        until=_moment("lte", moments.get("lte"), invalid),
        control_plane_id=texts["control_plane_id"],
        node_id=texts["node_id"],
        kind=texts["kind"],
    )


def _moment(operator: str, text: str | None, invalid: list[InvalidParameter]) -> float | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        invalid.append(InvalidParameter(f"filter[at][{operator}]", "is_date_time", "must be a date and time", "query"))
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
