"""Takes batches of nodes in: checks every value, stamps whose they are, keeps each batch once.

Nothing that a node sends is trusted: its identity comes from its certificate, and rows that hold what they must not
are left out and counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import orjson

from twinplane.control.analytics import Analytics, Batch, Reporter, Source
from twinplane.telemetry.errors import BatchInvalid
from twinplane.telemetry.events import FUTURE_S_MAX, RECORD, USAGE, Field
from twinplane.telemetry.wire import BatchHeader, Receipt, decode_batch, encode_receipt, unpack_lines

_PLAIN = {str, int, type(None)}


@dataclass(slots=True)
class IngestFacts:
    """What came in; read by metrics."""

    batches_total: int = 0
    batches_repeated_total: int = 0
    batches_refused_total: int = 0
    rows_total: int = 0
    rows_rejected_total: int = 0


class Ingest:
    """The door for batches. Calls block; several at a time are safe."""

    def __init__(self, analytics: Analytics, *, clock: Callable[[], float] = time.time) -> None:
        self._analytics = analytics
        self._clock = clock
        self.facts = IngestFacts()

    def take(self, reporter: Reporter, frame: bytes) -> bytes:
        """Keep a batch; the answer is the frame to send back.

        Raises BatchInvalid for a frame whose batch cannot even be named, and what the store raises where it cannot
        keep it now: the node then sends it again later.
        """
        header, packed = decode_batch(frame)
        try:
            rows = _rows(unpack_lines(packed), header.count)
        except BatchInvalid as error:
            self.facts.batches_refused_total += 1
            return encode_receipt(Receipt(header.boot_id, header.number, error.code, error.detail))
        fields = RECORD if header.kind == "records" else USAGE
        kept, rejected = check_rows(rows, fields, now=self._clock())
        batch = Batch(_source(reporter, header), kept)
        is_new = self._analytics.add_records(batch) if header.kind == "records" else self._analytics.add_usage(batch)
        self._count(batch, is_new=is_new, rejected=rejected)
        return encode_receipt(Receipt(header.boot_id, header.number))

    def _count(self, batch: Batch, *, is_new: bool, rejected: int) -> None:
        facts = self.facts
        facts.batches_total += 1
        if is_new:
            facts.rows_total += batch.size
            facts.rows_rejected_total += rejected
        else:
            facts.batches_repeated_total += 1


def check_rows(
    rows: Sequence[object], fields: Sequence[Field], *, now: float
) -> tuple[Sequence[Sequence[object]], int]:
    """The columns of the rows that hold only what they may, and the number of the others. Pure."""
    whole = [row for row in rows if isinstance(row, list) and len(row) == len(fields)]
    columns: list[Sequence[object]] = list(zip(*whole, strict=True)) if whole else []
    bad: set[int] = set()
    for field, column in zip(fields, columns, strict=False):
        bad.update(_bad_rows(field, column))
    if bad:
        kept = [row for position, row in enumerate(whole) if position not in bad]
        columns = list(zip(*kept, strict=True)) if kept else []
        whole = kept
    if columns:
        columns[0] = _not_ahead(columns[0], now, unit=1_000_000 if fields is RECORD else 1)
    return columns or [()] * len(fields), len(rows) - len(whole)


def _not_ahead(times: Sequence[object], now: float, *, unit: int) -> Sequence[object]:
    """The first column, a time. What a clock that runs ahead has stamped happened now: it must not outlive all else."""
    limit = int((now + FUTURE_S_MAX) * unit)
    if not times or max(map(_as_number, times)) <= limit:
        return times
    return [int(now * unit) if _as_number(value) > limit else value for value in times]


def _bad_rows(field: Field, column: Sequence[object]) -> Iterable[int]:
    # True equals 1 and 1.0 equals 1 in a set, so one would hide the other there.
    if not set(map(type, column)) <= _PLAIN:
        return [position for position, value in enumerate(column) if not field.holds(value)]
    # Most columns hold few different values: each of them is looked at once.
    bad = {value for value in set(column) if not field.holds(value)}
    return [position for position, value in enumerate(column) if value in bad] if bad else ()


def _as_number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _rows(lines: bytes, count: int) -> Sequence[object]:
    try:
        rows: list[object] = orjson.loads(b"[" + lines.rstrip(b"\n").replace(b"\n", b",") + b"]")
    except orjson.JSONDecodeError as error:
        raise BatchInvalid("bad_lines", str(error)) from error
    if len(rows) != count:
        raise BatchInvalid("bad_count", f"{len(rows)} rows, the header says {count}")
    return rows


def _source(reporter: Reporter, header: BatchHeader) -> Source:
    return Source(
        control_plane_id=reporter.control_plane_id,
        node_id=reporter.node_id,
        node_version=reporter.node_version,
        boot_id=header.boot_id,
        number=header.number,
        lost_origin=header.lost_origin,
        lost_records=header.lost_records,
    )
