"""The event store: request records and usage counters in one DuckDB file, owned by one process.

Rows come in by the batch, in one statement and one transaction; a batch that came before is not stored again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import orjson

from twinplane.store.events.batch import RECORD_COLUMNS, USAGE_COLUMNS, Batch, Source
from twinplane.store.events.errors import EventStoreFailed, EventStoreUnusable, QueryTooLong
from twinplane.store.events.query import MetricsQuery, MetricsResult, MetricsRow, RecordsQuery
from twinplane.store.events.sql import RECORD_RESULT, metrics_statement, records_statement, top_statement

FORMAT = 1
STATUS_GROUPS_MAX = 11
"""Of three digits, and of none."""

_SOURCE_COLUMNS = {"control_plane_id": "VARCHAR", "node_id": "VARCHAR"}


@dataclass(frozen=True, slots=True)
class EventStoreSettings:
    """Limits of the event store."""

    memory_limit_mb: int = 128
    threads: int = 1
    query_seconds_max: float = 10.0


@dataclass(frozen=True, slots=True)
class LossRow:
    """How many records a node says it had to drop since its backlog was begun."""

    control_plane_id: str
    node_id: str
    lost_records: int


@dataclass(frozen=True, slots=True)
class TimelinessRow:
    """When records of a node last came, the newest of them, and when it was last told that some were dropped."""

    control_plane_id: str
    node_id: str
    received_us: int | None
    newest_us: int | None
    lost_us: int | None


class EventStore:
    """Keeps events. Thread-safe: writes take turns, each query has a cursor of its own."""

    def __init__(self, path: Path | None, settings: EventStoreSettings) -> None:
        """Open the file at `path`, None for a store in memory."""
        self._settings = settings
        limits: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{settings.memory_limit_mb}MB",
            "threads": settings.threads,
        }
        try:
            self._connection = duckdb.connect(str(path) if path else ":memory:", config=limits)
        except duckdb.Error as error:
            raise EventStoreUnusable(str(path), str(error)) from error
        self._writing = threading.Lock()
        try:
            self._prepare(str(path))
        except EventStoreFailed as error:
            self._connection.close()
            raise EventStoreUnusable(str(path), error.reason) from error
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Write everything to the file and close it."""
        with self._writing:
            self._connection.close()

    def add_records(self, batch: Batch) -> bool:
        """Store a batch of request records. False where it was stored before."""
        extra = {**_SOURCE_COLUMNS, "node_version": "VARCHAR"}
        source = batch.source
        stamp = (source.control_plane_id, source.node_id, source.node_version)
        return self._add("record", batch, RECORD_COLUMNS, extra, stamp)

    def add_usage(self, batch: Batch) -> bool:
        """Store a batch of usage counters. False where it was stored before."""
        stamp = (batch.source.control_plane_id, batch.source.node_id)
        return self._add("usage", batch, USAGE_COLUMNS, _SOURCE_COLUMNS, stamp)

    def records(self, query: RecordsQuery) -> Sequence[Mapping[str, object]]:
        """A page of request records, as columns of `RECORD_RESULT`."""
        with self._asking() as cursor:
            rows = cursor.execute(*records_statement(query)).fetchall()
        return [dict(zip(RECORD_RESULT, row, strict=True)) for row in rows]

    def metrics(self, query: MetricsQuery) -> MetricsResult:
        """Measures by group and time bucket; groups beyond the limit are left out or gathered."""
        truncated = False
        kept: list[Sequence[str | None] | None] = []
        with self._asking() as cursor:
            for dimension in query.dimensions:
                if _groups_max(query, dimension) <= query.limit:
                    kept.append(None)
                    continue
                names = [row[0] for row in cursor.execute(*top_statement(query, dimension)).fetchall()]
                is_over = len(names) > query.limit
                kept.append(names[: query.limit] if is_over else None)
                truncated |= is_over
            rows = cursor.execute(*metrics_statement(query, kept)).fetchall()
        width = 1 + len(query.dimensions)
        return MetricsResult([MetricsRow(row[0], row[1:width], row[width:]) for row in rows], truncated)

    def losses(self, control_planes: Sequence[str]) -> Sequence[LossRow]:
        """Records that nodes had to drop, summed by node."""
        with self._asking() as cursor:
            rows = cursor.execute(
                "SELECT control_plane_id, node_id, sum(lost_records)::BIGINT FROM loss "
                "WHERE control_plane_id IN (SELECT unnest(?::VARCHAR[])) GROUP BY 1, 2 ORDER BY 1, 2",
                [list(control_planes)],
            ).fetchall()
        return [LossRow(*row) for row in rows]

    def timeliness(self, control_planes: Sequence[str]) -> Sequence[TimelinessRow]:
        """How far behind the records of each node came, and when some were lost."""
        with self._asking() as cursor:
            rows = cursor.execute(
                "SELECT control_plane_id, node_id, received_us, newest_us, lost_us FROM timeliness "
                "WHERE control_plane_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY 1, 2",
                [list(control_planes)],
            ).fetchall()
        return [TimelinessRow(*row) for row in rows]

    def forget(self, *, records_before_us: int, usage_before_minute: int) -> int:
        """Drop what is older than its retention. Returns the number of request records dropped."""
        with self._changing() as cursor:
            count = cursor.execute("DELETE FROM record WHERE request_start_us < ?", [records_before_us]).fetchone()
            cursor.execute("DELETE FROM usage WHERE minute < ?", [usage_before_minute])
            cursor.execute("DELETE FROM delivery WHERE received_us < ?", [usage_before_minute * 1_000_000])
            cursor.execute(
                "DELETE FROM timeliness WHERE greatest(received_us, lost_us) < ?", [usage_before_minute * 1_000_000]
            )
        return int(count[0]) if count else 0

    def _prepare(self, path: str) -> None:
        """Make the tables of a new file; refuse a file of a newer format."""
        with self._changing() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS format (version INTEGER)")
            found = cursor.execute("SELECT max(version) FROM format").fetchone()
            version = found[0] if found else None
            if version is not None and version > FORMAT:
                raise EventStoreUnusable(path, f"it is of format {version}, this program knows up to {FORMAT}")
            if version is None:
                cursor.execute("INSERT INTO format VALUES (?)", [FORMAT])
            for statement in _tables():
                cursor.execute(statement)

    def _add(
        self,
        table: str,
        batch: Batch,
        columns: Mapping[str, str],
        extra: Mapping[str, str],
        stamp: tuple[str, ...],
    ) -> bool:
        with self._changing() as cursor:
            is_new = _advance(cursor, batch.source)
            if is_new and batch.size:
                # One parameter holds all columns as JSON: many times faster than rows or lists as parameters.
                form = orjson.dumps({name: [kind] for name, kind in columns.items()}).decode()
                text = orjson.dumps(dict(zip(columns, batch.columns, strict=True))).decode()
                names = ", ".join([*extra, *columns])
                values = ", ".join(["?"] * len(extra) + [f"unnest(batch.{name})" for name in columns])
                cursor.execute(
                    f"INSERT INTO {table} ({names}) SELECT {values} "  # noqa: S608
                    f"FROM (SELECT from_json_strict(?::JSON, '{form}') AS batch)",
                    [*stamp, text],
                )
                if table == "record":
                    _note_newest(cursor, batch)
        return is_new

    @contextmanager
    def _changing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._writing, self._cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of its own; what the database refuses is told as the store's failure."""
        try:
            cursor = self._connection.cursor()
            try:
                yield cursor
            finally:
                cursor.close()
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            raise EventStoreFailed(str(error)) from error

    @contextmanager
    def _asking(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._cursor() as cursor:
            timer = threading.Timer(self._settings.query_seconds_max, cursor.interrupt)
            timer.daemon = True
            timer.start()
            try:
                yield cursor
            except duckdb.InterruptException as error:
                raise QueryTooLong(self._settings.query_seconds_max) from error
            finally:
                timer.cancel()


def _groups_max(query: MetricsQuery, dimension: str) -> float:
    """How many groups there can be, where that is known without looking."""
    known = {"control_plane": len(query.control_planes), "status_code_grouped": STATUS_GROUPS_MAX}
    return known.get(dimension, math.inf)


def _tables() -> Iterator[str]:
    source = {**_SOURCE_COLUMNS, "node_version": "VARCHAR"}
    yield f"CREATE TABLE IF NOT EXISTS record ({_declared(source | dict(RECORD_COLUMNS))})"
    yield f"CREATE TABLE IF NOT EXISTS usage ({_declared(_SOURCE_COLUMNS | dict(USAGE_COLUMNS))})"
    # The last batch stored of each node since it was started: what makes a second delivery a repetition.
    yield (
        "CREATE TABLE IF NOT EXISTS delivery (control_plane_id VARCHAR, node_id VARCHAR, boot_id VARCHAR, "
        "number BIGINT, received_us BIGINT, PRIMARY KEY (control_plane_id, node_id, boot_id))"
    )
    yield (
        "CREATE TABLE IF NOT EXISTS loss (control_plane_id VARCHAR, node_id VARCHAR, origin VARCHAR, "
        "lost_records BIGINT, PRIMARY KEY (control_plane_id, node_id, origin))"
    )
    yield (
        "CREATE TABLE IF NOT EXISTS timeliness (control_plane_id VARCHAR, node_id VARCHAR, received_us BIGINT, "
        "newest_us BIGINT, lost_us BIGINT, PRIMARY KEY (control_plane_id, node_id))"
    )


def _declared(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


def _advance(cursor: duckdb.DuckDBPyConnection, source: Source) -> bool:
    """Note a batch as stored. False where it, or a later one of the same node's run, was stored before."""
    key = [source.control_plane_id, source.node_id, source.boot_id]
    found = cursor.execute(
        "SELECT number FROM delivery WHERE control_plane_id = ? AND node_id = ? AND boot_id = ?", key
    ).fetchone()
    if found is not None and found[0] >= source.number:
        return False
    cursor.execute(
        "INSERT INTO delivery VALUES (?, ?, ?, ?, epoch_us(now())) "
        "ON CONFLICT DO UPDATE SET number = excluded.number, received_us = excluded.received_us",
        [*key, source.number],
    )
    if source.lost_records:
        _note_loss(cursor, source)
        cursor.execute(
            "INSERT INTO loss VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET lost_records = greatest(lost_records, excluded.lost_records)",
            [source.control_plane_id, source.node_id, source.lost_origin, source.lost_records],
        )
    return True


def _note_newest(cursor: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Note that records came now, and of when the newest of them is."""
    newest = max(batch.columns[list(RECORD_COLUMNS).index("request_start_us")], key=_as_int)
    cursor.execute(
        "INSERT INTO timeliness VALUES (?, ?, epoch_us(now()), ?, NULL) ON CONFLICT DO UPDATE "
        "SET received_us = excluded.received_us, newest_us = excluded.newest_us",
        [batch.source.control_plane_id, batch.source.node_id, newest],
    )


def _note_loss(cursor: duckdb.DuckDBPyConnection, source: Source) -> None:
    """Note that a node tells now of more dropped records than before."""
    key = [source.control_plane_id, source.node_id]
    found = cursor.execute(
        "SELECT lost_records FROM loss WHERE control_plane_id = ? AND node_id = ? AND origin = ?",
        [*key, source.lost_origin],
    ).fetchone()
    if found is None or found[0] < source.lost_records:
        cursor.execute(
            "INSERT INTO timeliness VALUES (?, ?, NULL, NULL, epoch_us(now())) "
            "ON CONFLICT DO UPDATE SET lost_us = excluded.lost_us",
            key,
        )


def _as_int(value: object) -> int:
    return value if isinstance(value, int) else 0
