"""Batches of nodes are checked value by value, stamped by who sent them, and stored once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from twinplane.control.analytics import (
    RECORD_COLUMNS,
    USAGE_COLUMNS,
    Analytics,
    MetricsQuery,
    Period,
    Reporter,
    Retention,
)
from twinplane.store.events import EventStore, EventStoreSettings
from twinplane.telemetry.errors import BatchInvalid
from twinplane.telemetry.events import RECORD, USAGE
from twinplane.telemetry.ingest import Ingest, check_rows
from twinplane.telemetry.wire import (
    BatchHeader,
    Receipt,
    decode_batch,
    decode_receipt,
    encode_batch,
    encode_receipt,
    pack_lines,
)

CP, NODE = "11111111-1111-4111-8111-111111111111", "33333333-3333-4333-8333-333333333333"
BOOT, SERVICE = "44444444-4444-4444-8444-444444444444", "55555555-5555-4555-8555-555555555555"
NOW = 1_764_000_000.0
START = int(NOW * 1_000_000)
GOOD: list[Any] = [
    *(START, "a" * 32, SERVICE, None, None, None, None, "GET", "/orders", None, "http", "1.1"),
    *(200, 200, "upstream", 100, 200, 300, 10, 20, 1),
]
REPORTER = Reporter(CP, NODE, "3.9.3")


def changed(name: str, value: Any) -> list[Any]:
    """A record with one other value."""
    row = list(GOOD)
    row[[field.name for field in RECORD].index(name)] = value
    return row


def frame(rows: list[Any], number: int = 1, kind: str = "records", **header: Any) -> bytes:
    body = "".join(json.dumps(row) + "\n" for row in rows).encode()
    fields = {"kind": kind, "boot_id": BOOT, "number": number, "count": len(rows), "lost_origin": BOOT}
    return encode_batch(BatchHeader(**({"lost_records": 0} | fields | header)), pack_lines(body))  # type: ignore[arg-type]


@pytest.fixture
def analytics() -> Iterator[Analytics]:
    opened = Analytics(EventStore(None, EventStoreSettings()), Retention())
    yield opened
    opened.close()


def stored(analytics: Analytics) -> Any:
    period = Period(0, START * 2, ZoneInfo("UTC"))
    rows = analytics.metrics(MetricsQuery([CP], period)).rows
    return rows[0].values[0] if rows else 0


def test_fields_are_the_stores_columns() -> None:
    assert [field.name for field in RECORD] == list(RECORD_COLUMNS)
    assert [field.name for field in USAGE] == list(USAGE_COLUMNS)


def test_a_batch_of_another_control_plane_hides_none(analytics: Analytics) -> None:
    """A node that claims the id, the run and the number of another control plane's node counts for its own only."""
    ingest, other = Ingest(analytics, clock=lambda: NOW), "22222222-2222-4222-8222-222222222222"
    ingest.take(Reporter(other, NODE, "3.9.3"), frame([GOOD, GOOD, GOOD], number=7))
    assert stored(analytics) == 0
    ingest.take(REPORTER, frame([GOOD], number=7))
    assert stored(analytics) == 1


def test_a_batch_is_acknowledged_and_stored_once(analytics: Analytics) -> None:
    ingest = Ingest(analytics, clock=lambda: NOW)
    for _ in range(3):
        assert decode_receipt(ingest.take(REPORTER, frame([GOOD, GOOD]))) == Receipt(BOOT, 1)
    assert stored(analytics) == 2
    assert (ingest.facts.rows_total, ingest.facts.batches_repeated_total) == (2, 2)


def test_usage_is_stored(analytics: Analytics) -> None:
    row = [int(NOW) // 60 * 60, SERVICE, None, None, None, 200, 5, 100, 200]
    ingest = Ingest(analytics, clock=lambda: NOW)
    assert decode_receipt(ingest.take(REPORTER, frame([row], kind="usage"))) == Receipt(BOOT, 1)
    assert ingest.facts.rows_total == 1
    assert stored(analytics) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("request_start_us", -1),
        ("request_id", "<script>"),
        ("service_id", "not-a-uuid"),
        ("service_id", 7),
        ("method", "GET /"),
        ("method", None),
        ("path", "/x?api_key=secret"),
        ("path", "/x\ny"),
        ("path", "/" * 9000),
        ("path", ["/"]),
        ("path", {"a": 1}),
        ("host", "a b"),
        ("protocol", "gopher"),
        ("http_version", "0.9"),
        ("status", 1000),
        ("status", True),
        ("status", 200.0),
        ("status", "200"),
        ("response_source", "elsewhere"),
        ("latency_total_us", 2**60),
        ("tries", -1),
    ],
)
def test_a_row_that_holds_what_it_must_not_is_left_out(analytics: Analytics, name: str, value: Any) -> None:
    ingest = Ingest(analytics, clock=lambda: NOW)
    receipt = decode_receipt(ingest.take(REPORTER, frame([GOOD, changed(name, value), GOOD])))
    assert receipt == Receipt(BOOT, 1)
    assert stored(analytics) == 2
    assert ingest.facts.rows_rejected_total == 1


@pytest.mark.parametrize("ahead_s", [3600, 86_400, 400_000_000])
def test_what_a_clock_that_runs_ahead_has_stamped_happened_now(ahead_s: int) -> None:
    rows = [GOOD, changed("request_start_us", int((NOW + ahead_s) * 1_000_000)), GOOD]
    columns, rejected = check_rows(rows, RECORD, now=NOW)
    assert (list(columns[0]), rejected) == ([GOOD[0], int(NOW * 1_000_000), GOOD[0]], 0)


def test_rows_of_another_shape_are_left_out(analytics: Analytics) -> None:
    ingest = Ingest(analytics, clock=lambda: NOW)
    ingest.take(REPORTER, frame([GOOD, GOOD[:-1], [*GOOD, 1], {"a": 1}, "x", None, []]))
    assert stored(analytics) == 1
    assert ingest.facts.rows_rejected_total == 6


def test_a_batch_without_a_good_row_is_still_acknowledged(analytics: Analytics) -> None:
    ingest = Ingest(analytics, clock=lambda: NOW)
    assert decode_receipt(ingest.take(REPORTER, frame([[]]))) == Receipt(BOOT, 1)
    assert decode_receipt(ingest.take(REPORTER, frame([], number=2))) == Receipt(BOOT, 2)
    assert stored(analytics) == 0


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (encode_batch(BatchHeader("records", BOOT, 1, 1, BOOT, 0), b"no gzip"), "not_gzip"),
        (encode_batch(BatchHeader("records", BOOT, 1, 1, BOOT, 0), pack_lines(b"[1]\n")[:-5]), "not_gzip"),
        (encode_batch(BatchHeader("records", BOOT, 1, 1, BOOT, 0), pack_lines(b"[1,\n")), "bad_lines"),
        (encode_batch(BatchHeader("records", BOOT, 1, 2, BOOT, 0), pack_lines(b"[1]\n")), "bad_count"),
        (encode_batch(BatchHeader("records", BOOT, 1, 1, BOOT, 0), pack_lines(b" " * 40_000_000)), "too_large"),
    ],
)
def test_a_batch_that_can_never_be_stored_is_refused(analytics: Analytics, bad: bytes, code: str) -> None:
    receipt = decode_receipt(Ingest(analytics).take(REPORTER, bad))
    assert receipt is not None
    assert (receipt.number, receipt.refusal) == (1, code)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{}\n",
        b"no json\n",
        b"x" * 5000,
        frame([GOOD], kind="secrets"),
        frame([GOOD], number=-1),
        frame([GOOD], boot_id="../../etc"),
        frame([GOOD], count=10**9),
        frame([GOOD], lost_records="many"),
    ],
)
def test_a_frame_that_names_no_batch_is_invalid(analytics: Analytics, bad: bytes) -> None:
    with pytest.raises(BatchInvalid):
        Ingest(analytics).take(REPORTER, bad)


def test_header_and_receipt_round_trip() -> None:
    header, packed = decode_batch(frame([GOOD], number=9, lost_records=4))
    assert (header.number, header.count, header.lost_records) == (9, 1, 4)
    assert packed == pack_lines(json.dumps(GOOD).encode() + b"\n")
    for receipt in (Receipt(BOOT, 1), Receipt(BOOT, 2, "bad_count", "why")):
        assert decode_receipt(encode_receipt(receipt)) == receipt
    assert decode_receipt(b"[]") is None
    assert decode_receipt(b'{"type":"hello","boot_id":"x","number":1}') is None


def test_checking_keeps_every_good_row_of_a_large_batch() -> None:
    rows = [changed("request_id", f"{number:032x}") for number in range(20_000)]
    columns, rejected = check_rows(rows, RECORD, now=NOW)
    assert (len(columns[0]), rejected) == (20_000, 0)
