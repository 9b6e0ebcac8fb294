"""The event store keeps each batch once, answers by group and time, and forgets what is old."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from twinplane.store.events import (
    DIMENSIONS,
    OTHER,
    RECORD_COLUMNS,
    Batch,
    EventStore,
    EventStoreSettings,
    EventStoreUnusable,
    Filter,
    Granularity,
    MetricsQuery,
    Operator,
    Period,
    RecordsQuery,
    Source,
)

UTC = ZoneInfo("Etc/UTC")
CP, OTHER_CP = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
NODE, BOOT = "33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444"
SERVICE, ROUTE = "55555555-5555-4555-8555-555555555555", "66666666-6666-4666-8666-666666666666"
START = 1_764_000_000_000_000
HOUR = Period(START, START + 3_600_000_000, UTC)


def record(offset_us: int = 0, **changes: object) -> tuple[object, ...]:
    """One record's columns."""
    row: dict[str, object] = {
        "request_start_us": START + offset_us,
        "request_id": f"{offset_us:032x}",
        "service_id": SERVICE,
        "route_id": ROUTE,
        "consumer_id": None,
        "credential_id": None,
        "application_id": None,
        "method": "GET",
        "path": "/orders",
        "host": None,
        "protocol": "http",
        "http_version": "1.1",
        "status": 200,
        "upstream_status": 200,
        "response_source": "upstream",
        "latency_kong_us": 1000,
        "latency_upstream_us": 9000,
        "latency_total_us": 10_000,
        "request_bytes": 100,
        "response_bytes": 1000,
        "tries": 1,
    }
    row.update(changes)
    return tuple(row[name] for name in RECORD_COLUMNS)


def batch(rows: list[tuple[object, ...]], number: int = 1, *, control_plane: str = CP, lost: int = 0) -> Batch:
    """A batch of records."""
    source = Source(control_plane, NODE, "3.9.3", BOOT, number, BOOT, lost)
    return Batch(source, list(zip(*rows, strict=True)))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    events = EventStore(tmp_path / "events.duckdb", EventStoreSettings())
    yield events
    events.close()


def count(store: EventStore, *control_planes: str, **query: object) -> object:
    result = store.metrics(MetricsQuery(control_planes or (CP,), HOUR, **query))  # type: ignore[arg-type]
    return result.rows[0].values[0] if result.rows else 0


def test_a_batch_is_stored_once(store: EventStore) -> None:
    assert store.add_records(batch([record(0), record(1)]))
    assert not store.add_records(batch([record(0), record(1)]))
    assert store.add_records(batch([record(2)], number=2))
    assert count(store) == 3


def test_batches_survive_a_restart(tmp_path: Path) -> None:
    first = EventStore(tmp_path / "e.duckdb", EventStoreSettings())
    first.add_records(batch([record(0)]))
    first.close()
    second = EventStore(tmp_path / "e.duckdb", EventStoreSettings())
    assert not second.add_records(batch([record(0)]))
    assert count(second) == 1
    second.close()


def test_a_file_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "e.duckdb", EventStoreSettings())
    with store._changing() as cursor:
        cursor.execute("UPDATE format SET version = 99")
    store.close()
    with pytest.raises(EventStoreUnusable, match="format 99"):
        EventStore(tmp_path / "e.duckdb", EventStoreSettings())


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(EventStoreUnusable):
        EventStore(tmp_path / "e.duckdb", EventStoreSettings())


def test_no_answer_holds_another_control_plane(store: EventStore) -> None:
    store.add_records(batch([record(0)]))
    store.add_records(batch([record(1)], control_plane=OTHER_CP))
    assert count(store, CP) == 1
    assert count(store, CP, OTHER_CP) == 2
    rows = store.records(RecordsQuery([OTHER_CP], HOUR))
    assert [row["control_plane_id"] for row in rows] == [OTHER_CP]


def test_records_are_paged_newest_first(store: EventStore) -> None:
    store.add_records(batch([record(number) for number in range(10)]))
    page = store.records(RecordsQuery([CP], HOUR, size=3, offset=2))
    assert [row["request_start_us"] for row in page] == [START + 7, START + 6, START + 5]
    page = store.records(RecordsQuery([CP], HOUR, size=2, is_ascending=True))
    assert [row["request_start_us"] for row in page] == [START, START + 1]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Filter("status_code", Operator.IN, (200,)), 2),
        (Filter("status_code", Operator.NOT_IN, (200,)), 1),
        (Filter("status_code_grouped", Operator.EQUAL, ("4XX",)), 1),
        (Filter("gateway_service", Operator.IN, (f"{CP}:{SERVICE}",)), 2),
        (Filter("gateway_service", Operator.EMPTY), 1),
        (Filter("gateway_service", Operator.NOT_EMPTY), 2),
        (Filter("gateway_service", Operator.NOT_IN, (f"{CP}:{SERVICE}",)), 1),
        (Filter("gateway_service", Operator.NOT_EQUAL, (f"{CP}:{SERVICE}",)), 1),
        (Filter("api", Operator.EMPTY), 3),
        (Filter("request_uri", Operator.STARTS_WITH, ("/or",)), 2),
        (Filter("request_uri", Operator.ENDS_WITH, ("%'; --",)), 0),
        (Filter("latencies_response_ms", Operator.GREATER_EQUAL, (10,)), 2),
        (Filter("response_source", Operator.EQUAL, ("kong",)), 1),
    ],
)
def test_filters(store: EventStore, condition: Filter, expected: int) -> None:
    unmatched = record(
        2, service_id=None, route_id=None, status=404, path="/x", response_source="kong", latency_total_us=100
    )
    store.add_records(batch([record(0), record(1), unmatched]))
    assert len(store.records(RecordsQuery([CP], HOUR, filters=[condition]))) == expected


def test_measures(store: EventStore) -> None:
    rows = [record(n, latency_total_us=n * 1000, status=500 if n < 25 else 200) for n in range(1, 101)]
    store.add_records(batch(rows))
    names = ("request_count", "error_rate", "response_latency_p99", "response_latency_average", "request_size_sum")
    (row,) = store.metrics(MetricsQuery([CP], HOUR, metrics=names)).rows
    assert row.bucket_us == START
    assert row.values == (100, 24.0, pytest.approx(99.01), 50.5, 10_000)


def test_every_measure_and_dimension_can_be_asked(store: EventStore) -> None:
    from twinplane.store.events import DIMENSIONS, METRICS

    store.add_records(batch([record(0)]))
    for metric in METRICS:
        assert store.metrics(MetricsQuery([CP], HOUR, metrics=[metric])).rows
    for dimension in DIMENSIONS:
        assert store.metrics(MetricsQuery([CP], HOUR, dimensions=[dimension])).rows


def test_groups_over_time(store: EventStore) -> None:
    minute = 60_000_000
    store.add_records(batch([record(0), record(minute), record(minute + 1, status=404)]))
    query = MetricsQuery([CP], HOUR, dimensions=["status_code"], granularity=Granularity.MINUTELY)
    result = store.metrics(query)
    assert [(row.bucket_us - START, row.groups, row.values) for row in result.rows] == [
        (0, ("200",), (1,)),
        (minute, ("200",), (1,)),
        (minute, ("404",), (1,)),
    ]
    assert not result.truncated


def test_days_begin_by_the_zone_of_the_asker(store: EventStore) -> None:
    denver = ZoneInfo("America/Denver")
    period = Period(START - 86_400_000_000, START + 86_400_000_000, denver)
    store.add_records(batch([record(0)]))
    (row,) = store.metrics(MetricsQuery([CP], period, granularity=Granularity.DAILY)).rows
    # 2025-11-24T16:00Z is a Monday morning in Denver, seven hours behind.
    assert row.bucket_us == 1_763_967_600_000_000


def test_groups_beyond_the_limit_are_left_out_or_gathered(store: EventStore) -> None:
    rows = [record(n, service_id=f"{n % 4:08}-0000-4000-8000-000000000000", status=200 + n % 3) for n in range(24)]
    store.add_records(batch(rows))
    one = store.metrics(MetricsQuery([CP], HOUR, dimensions=["gateway_service"], limit=2))
    assert one.truncated
    assert len(one.rows) == 2
    two = store.metrics(MetricsQuery([CP], HOUR, dimensions=["gateway_service", "status_code"], limit=2))
    assert {row.groups[1] for row in two.rows} == {"200", "201", OTHER}
    assert len({row.groups[0] for row in two.rows}) == 2


def test_losses_are_kept_by_node(store: EventStore) -> None:
    store.add_records(batch([record(0)], number=1, lost=5))
    store.add_records(batch([record(1)], number=2, lost=12))
    assert [loss.lost_records for loss in store.losses([CP])] == [12]
    assert store.losses([OTHER_CP]) == []


def test_old_records_are_forgotten(store: EventStore) -> None:
    store.add_records(batch([record(0), record(2000)]))
    assert store.forget(records_before_us=START + 1000, usage_before_minute=0) == 1
    assert count(store) == 1


def test_a_batch_that_cannot_be_stored_leaves_nothing(store: EventStore) -> None:
    broken = batch([record(0), record(1, status=70_000)])
    with pytest.raises(Exception, match=r"(?i)conver|cast|range"):
        store.add_records(broken)
    assert store.add_records(batch([record(0)]))
    assert count(store) == 1


def test_how_late_records_come_is_kept_by_node(store: EventStore) -> None:
    assert store.timeliness([CP]) == []
    store.add_records(batch([record(0), record(5)], number=1))
    (row,) = store.timeliness([CP])
    assert row.newest_us == record(5)[0]
    assert row.received_us is not None
    assert row.received_us > row.newest_us
    assert row.lost_us is None
    store.add_records(batch([record(1)], number=2, lost=5))
    (told,) = store.timeliness([CP])
    assert told.lost_us is not None
    store.add_records(batch([record(1)], number=3, lost=5))
    (again,) = store.timeliness([CP])
    assert again.lost_us == told.lost_us, "nothing more was lost"
    assert store.timeliness([OTHER_CP]) == []
    store.forget(records_before_us=0, usage_before_minute=2**40)
    assert store.timeliness([CP]) == []


@pytest.mark.parametrize("dimension", sorted(DIMENSIONS))
@pytest.mark.parametrize("limit", [1, 50])
def test_one_control_plane_is_grouped_as_several_are(store: EventStore, dimension: str, limit: int) -> None:
    ids = [None, SERVICE, "00000001-0000-4000-8000-000000000000"]
    rows = [
        record(n, service_id=ids[n % 3], route_id=None, consumer_id=ids[n % 2], status=200 + n % 3) for n in range(24)
    ]
    store.add_records(batch(rows))
    one = MetricsQuery([CP], HOUR, dimensions=[dimension], limit=limit)
    both = MetricsQuery([CP, OTHER_CP], HOUR, dimensions=[dimension], limit=limit)
    assert store.metrics(one) == store.metrics(both)
    for group in {row.groups[0] for row in store.metrics(one).rows} - {None}:
        if ":" in str(group):
            filters = [Filter(dimension, Operator.EQUAL, (str(group),))]
            narrowed = store.metrics(MetricsQuery([CP], HOUR, filters=filters))
            by_list = [Filter(dimension, Operator.IN, (str(group),))]
            assert narrowed == store.metrics(MetricsQuery([CP], HOUR, filters=by_list))
            assert narrowed.rows
