"""The audit trail: what happened, who did it, from where, with what result. Records are chained by their hashes.

Each record carries the hash of the one before, so that the removal, reorder or edit of any one shows. The oldest are
forgotten in order; where the chain then begins, and where it ends, is noted in the store.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from twinplane.control.scope import Actor
from twinplane.store.errors import StoreUnreadable
from twinplane.store.sql import FILE_NAME, AuditFilter, AuditRow, ChangeRow, Database, Realm, Transaction

__all__ = [
    "FORGOTTEN_AT_ONCE",
    "NO_HASH",
    "AuditFilter",
    "AuditNote",
    "AuditRecord",
    "AuditTrail",
    "Verified",
    "audit_change",
    "hash_of",
    "open_trail",
    "write_audit",
]

NO_HASH = "0" * 64
DETAIL_BYTES_MAX = 16_384
PAGE_MAX = 1000
_HEAD, _ANCHOR, _FORWARDED = "audit_head", "audit_anchor", "audit_forwarded"
_CHECKED_AT_ONCE = 1000
# A long transaction would keep changes waiting.
FORGOTTEN_AT_ONCE = 20_000
_TEXT_MAX = 255
_LISTED_MAX = 100


@dataclass(frozen=True, slots=True)
class AuditNote:
    """Something to be kept. `detail` holds no secret; what does not fit is left out."""

    kind: str
    organization_id: str
    result: str = "success"
    at: float | None = None
    control_plane_id: str | None = None
    node_id: str | None = None
    certificate_id: str | None = None
    actor: Actor | None = None
    client_ip: str | None = None
    request_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A kept record."""

    position: int
    at: float
    kind: str
    organization_id: str
    control_plane_id: str | None
    node_id: str | None
    certificate_id: str | None
    actor: Actor | None
    client_ip: str | None
    result: str
    request_id: str | None
    detail: Mapping[str, Any]
    hash: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check of the chain found. `faults` is empty where it is whole."""

    records: int
    first: int
    last: int
    head: str
    faults: Sequence[str]


class AuditTrail:
    """All audit records of the installation."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self.forgotten_total = 0

    def append(self, notes: Sequence[AuditNote]) -> Sequence[AuditRecord]:
        """Keep some notes, all or none."""
        if not notes:
            return []
        with self._database.writing() as tx:
            return write_audit(tx, notes, now=self._clock())

    def page(
        self,
        organization_id: str,
        wanted: AuditFilter,
        *,
        size: int,
        below: int | None = None,
        above: int | None = None,
    ) -> Sequence[AuditRecord]:
        """Records of an organization, newest first: those below a position, or those next above one."""
        with self._database.reading() as tx:
            rows = tx.audit.page(organization_id, wanted, below=below, above=above, limit=max(1, min(size, PAGE_MAX)))
        return [_record(row) for row in rows]

    def after(self, position: int, *, limit: int) -> Sequence[AuditRecord]:
        """The records next above a position, oldest first, of every organization."""
        with self._database.reading() as tx:
            return [_record(row) for row in tx.audit.after(position, limit=limit)]

    def last_position(self) -> int:
        """The position of the newest record; 0 where there was never one."""
        with self._database.reading() as tx:
            return _mark(tx, _HEAD)[0]

    def last_number(self, control_plane_id: str, node_id: str) -> tuple[str, int] | None:
        """Boot and number of the last kept line of a node."""
        with self._database.reading() as tx:
            row = tx.audit.last_of(control_plane_id, node_id)
        detail = {} if row is None else orjson.loads(row.detail)
        boot, number = detail.get("boot"), detail.get("number")
        return (boot, number) if isinstance(boot, str) and isinstance(number, int) else None

    def forwarded(self) -> int:
        """Up to which position records were sent on. The first call begins at the newest."""
        with self._database.reading() as tx:
            noted = tx.meta.get(_FORWARDED)
        position = self.last_position()
        if noted is not None:
            # A store that was restored from a backup ends before what was sent.
            return min(int(noted), position)
        self.note_forwarded(position)
        return position

    def note_forwarded(self, position: int) -> None:
        """Records up to a position were sent on."""
        with self._database.writing() as tx:
            tx.meta.put(_FORWARDED, str(position))

    def forget_old(self, *, keep_s: float, records_max: int) -> int:
        """Forget what is older than `keep_s` and what is over `records_max`; that it was done is a record too."""
        now = self._clock()
        with self._database.writing() as tx:
            begin, _ = _mark(tx, _ANCHOR)
            head, _ = _mark(tx, _HEAD)
            # Only from the old end on: a record of a moment when the clock was wrong takes no others along.
            young = tx.audit.first_since(now - keep_s)
            until = max(head if young is None else young - 1, head - records_max)
            until = min(until, begin + FORGOTTEN_AT_ONCE)
            anchor = tx.audit.at(until) if until > begin else None
            if anchor is None:
                return 0
            tx.meta.put(_ANCHOR, f"{anchor.position} {anchor.hash}")
            count = tx.audit.forget(until)
            detail = {"records": count, "until": until}
            write_audit(tx, [AuditNote("audit.forgotten", anchor.organization_id, detail=detail)], now=now)
        self.forgotten_total += count
        return count

    def verify(self, *, known: str | None = None) -> Verified:
        """Walk the whole chain. `known` is a hash noted earlier, which must be found in it."""
        faults: list[str] = []
        with self._database.reading() as tx:
            position, previous = _mark(tx, _ANCHOR)
            first, count = position + 1, 0
            is_found = known is None or known == previous
            while True:
                rows = list(tx.audit.after(position, limit=_CHECKED_AT_ONCE))
                for row in rows:
                    faults.extend(_faults(row, position, previous))
                    position, previous = row.position, row.hash
                    is_found = is_found or previous == known
                    count += 1
                if not rows or len(faults) > _CHECKED_AT_ONCE:
                    break
            head = _mark(tx, _HEAD)
        if head[0] and head != (position, previous):
            faults.append(f"record {head[0]} with hash {head[1]} was the last one, found is record {position}")
        if not is_found:
            faults.append(f"no record has the hash {known}")
        return Verified(count, first, position, previous, faults)


@contextlib.contextmanager
def open_trail(directory: Path) -> Iterator[AuditTrail]:
    """The trail of a data directory, also of one in use. Raises StoreUnreadable, StoreTooNew."""
    if not (directory / FILE_NAME).exists():
        raise StoreUnreadable(directory, "there is no store")
    with contextlib.closing(Database.open(directory)) as database:
        yield AuditTrail(database, time.time)


def write_audit(tx: Transaction, notes: Sequence[AuditNote], *, now: float) -> list[AuditRecord]:
    """Append notes within a transaction: what they tell of and they themselves are kept together or not at all."""
    position, previous = _mark(tx, _HEAD)
    rows = []
    for note in notes:
        position += 1
        row = _row(note, position, previous, now)
        rows.append(row)
        previous = row.hash
    tx.audit.append(rows)
    tx.meta.put(_HEAD, f"{position} {previous}")
    return [_record(row) for row in rows]


def audit_change(tx: Transaction, realm: Realm, actor: Actor, rows: Sequence[ChangeRow], *, now: float) -> None:
    """One record of an accepted write, kept with it: what was changed, without any value."""
    listed = [{"operation": row.operation, "type": row.key.type, "id": row.key.id} for row in rows[:_LISTED_MAX]]
    note = AuditNote(
        "change",
        realm.organization_id,
        control_plane_id=realm.control_plane_id,
        actor=actor,
        detail={"revision": rows[0].revision, "entities": len(rows), "changes": listed},
    )
    write_audit(tx, [note], now=now)


def hash_of(row: AuditRow) -> str:
    """The hash that a row must carry: over all that it holds, and the hash before it."""
    content = {name: value for name, value in dataclasses.asdict(row).items() if name != "hash"}
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _faults(row: AuditRow, position: int, previous: str) -> list[str]:
    faults = []
    if row.position != position + 1:
        faults.append(f"records {position + 1} to {row.position - 1} are missing")
    elif row.previous != previous:
        faults.append(f"record {row.position} does not follow the record before it")
    if hash_of(row) != row.hash:
        faults.append(f"record {row.position} was changed")
    return faults


def _row(note: AuditNote, position: int, previous: str, now: float) -> AuditRow:
    actor = note.actor
    row = AuditRow(
        position=position,
        at=now if note.at is None else note.at,
        kind=note.kind[:_TEXT_MAX],
        organization_id=note.organization_id,
        control_plane_id=note.control_plane_id,
        node_id=note.node_id,
        certificate_id=note.certificate_id,
        actor_kind=actor.kind if actor else None,
        actor_id=actor.id if actor else None,
        actor_name=actor.name[:_TEXT_MAX] if actor else None,
        client_ip=note.client_ip or (actor.client_ip if actor else None) or None,
        result=note.result[:_TEXT_MAX],
        request_id=note.request_id or (actor.request_id if actor else None) or None,
        detail=_detail(note.detail),
        previous=previous,
        hash="",
    )
    return dataclasses.replace(row, hash=hash_of(row))


def _detail(detail: Mapping[str, Any]) -> str:
    encoded = orjson.dumps(dict(detail), option=orjson.OPT_SORT_KEYS)
    if len(encoded) > DETAIL_BYTES_MAX:
        encoded = orjson.dumps({"omitted": f"{len(encoded)} bytes"})
    return encoded.decode()


def _mark(tx: Transaction, name: str) -> tuple[int, str]:
    position, _, mark = (tx.meta.get(name) or f"0 {NO_HASH}").partition(" ")
    return int(position), mark


def _record(row: AuditRow) -> AuditRecord:
    actor = None
    if row.actor_kind is not None:
        actor = Actor(row.actor_kind, row.actor_id or "", row.actor_name or "")
    return AuditRecord(
        row.position,
        row.at,
        row.kind,
        row.organization_id,
        row.control_plane_id,
        row.node_id,
        row.certificate_id,
        actor,
        row.client_ip,
        row.result,
        row.request_id,
        orjson.loads(row.detail),
        row.hash,
    )
