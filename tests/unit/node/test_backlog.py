"""Telemetry that waits survives a restart and a damaged file, and what is too much is dropped exactly and counted."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import Leaf
from tests.faulty_disk import FaultyDisk, disk_full

from twinplane.node.backlog import FILE_NAME, Backlog
from twinplane.node.seal import Keyring, read_key, read_keyring
from twinplane.telemetry.wire import pack_lines, unpack_lines


def lines(first: int, count: int) -> bytes:
    """Rows that tell themselves apart."""
    return b"".join(b"[%d]\n" % number for number in range(first, first + count))


def add(backlog: Backlog, first: int, count: int, kind: str = "records") -> None:
    backlog.add([(kind, count, pack_lines(lines(first, count)))])  # type: ignore[list-item]


def deliver(backlog: Backlog) -> bytes:
    """Send everything as a control plane would get it."""
    rows = b""
    while (batch := backlog.unsent()) is not None:
        found = backlog.load(batch)
        assert found is not None
        header, packed = found
        text = unpack_lines(packed)
        assert text.count(b"\n") == header.count
        rows += text
        assert backlog.settle(header.boot_id, header.number)
    return rows


@pytest.mark.parametrize("is_durable", [True, False])
def test_batches_come_out_in_order_and_once(tmp_path: Path, is_durable: bool) -> None:
    backlog = Backlog(tmp_path if is_durable else None, records_max=100)
    assert backlog.is_durable is is_durable
    add(backlog, 0, 5)
    add(backlog, 5, 5)
    assert backlog.records == 10
    assert deliver(backlog) == lines(0, 10)
    assert (backlog.records, len(backlog), backlog.lost_records) == (0, 0, 0)
    assert not backlog.settle(backlog.boot_id, 1)


def test_what_waits_survives_a_restart_with_its_identity(tmp_path: Path) -> None:
    first = Backlog(tmp_path, records_max=100)
    add(first, 0, 3)
    add(first, 3, 3)
    first.settle(first.boot_id, 1)
    again = Backlog(tmp_path, records_max=100)
    batch = again.unsent()
    assert batch is not None
    assert (batch.boot_id, batch.number) == (first.boot_id, 2)
    add(again, 6, 2)
    assert deliver(again) == lines(3, 5)
    assert again.origin == first.origin


@pytest.mark.parametrize("is_durable", [True, False])
def test_exactly_the_overflow_is_lost_and_counted(tmp_path: Path, is_durable: bool) -> None:
    backlog = Backlog(tmp_path if is_durable else None, records_max=10)
    for first in range(0, 28, 4):
        add(backlog, first, 4)
    assert (backlog.records, backlog.lost_records) == (10, 18)
    assert deliver(backlog) == lines(18, 10)


def test_losses_are_remembered_across_restarts(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, records_max=10)
    for first in range(0, 28, 4):
        add(backlog, first, 4)
    backlog.count_lost(7)
    again = Backlog(tmp_path, records_max=10)
    assert (again.records, again.lost_records) == (10, 25)
    once_more = Backlog(tmp_path, records_max=10)
    assert (once_more.records, once_more.lost_records) == (10, 25)
    assert deliver(once_more) == lines(18, 10)


def test_what_is_under_way_is_not_dropped_and_is_sent_again(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, records_max=10)
    add(backlog, 0, 4)
    batch = backlog.unsent()
    assert batch is not None
    backlog.load(batch)
    add(backlog, 4, 10)
    assert backlog.lost_records == 4
    backlog.forget_sent()
    assert deliver(backlog) == lines(0, 4) + lines(8, 6)


def test_a_refused_batch_is_lost_and_counted(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, records_max=10)
    add(backlog, 0, 4)
    backlog.refuse(backlog.boot_id, 1)
    assert (backlog.records, backlog.lost_records) == (0, 4)


def test_usage_does_not_push_out_records(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, records_max=5)
    add(backlog, 0, 5)
    add(backlog, 0, 9, "usage")
    assert (backlog.records, backlog.lost_records) == (5, 0)


def test_the_file_does_not_grow_while_the_link_is_well(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, records_max=1000)
    noise = random.Random(1).randbytes(200_000).hex().encode() + b"\n"
    for _ in range(40):
        backlog.add([("records", 1, pack_lines(noise))])
        backlog.settle(backlog.boot_id, backlog._number)
    assert (tmp_path / FILE_NAME).stat().st_size < 3_000_000


def test_a_torn_end_loses_nothing_before_it(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, records_max=100)
    add(backlog, 0, 3)
    add(backlog, 3, 3)
    backlog.close()
    data = (tmp_path / FILE_NAME).read_bytes()
    for cut in range(1, 40):
        (tmp_path / FILE_NAME).write_bytes(data[:-cut])
        assert deliver(Backlog(tmp_path, records_max=100)) == lines(0, 3)


def test_a_flipped_bit_loses_one_batch_at_most(tmp_path: Path) -> None:
    backlog = Backlog(tmp_path, records_max=100)
    for first in range(0, 12, 3):
        add(backlog, first, 3)
    backlog.close()
    data = (tmp_path / FILE_NAME).read_bytes()
    chooser = random.Random(3)
    for _ in range(200):
        bit = chooser.randrange(len(data) * 8)
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / FILE_NAME).write_bytes(flipped)
        assert deliver(Backlog(tmp_path, records_max=100)).count(b"\n") >= 9


def test_without_a_place_on_disk_batches_wait_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    backlog = Backlog(tmp_path / "gone", records_max=10)
    assert not backlog.is_durable
    assert "backlog_in_memory_only" in caplog.text
    add(backlog, 0, 3)
    assert deliver(backlog) == lines(0, 3)


def test_a_disk_that_fills_up_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backlog = Backlog(tmp_path, records_max=100)
    add(backlog, 0, 3)
    original = os.pwrite

    def full(file: int, data: bytes, offset: int) -> int:
        return original(file, data[:10], offset)

    monkeypatch.setattr(os, "pwrite", full)
    add(backlog, 3, 3)
    assert not backlog.is_durable
    assert deliver(backlog) == lines(0, 6)


def unread(patch: pytest.MonkeyPatch, directory: Path, *, records_max: int = 100) -> Backlog:
    """A backlog that was begun while the disk gave nothing back."""
    with patch.context() as context:

        def fail(*arguments: Any) -> Any:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        context.setattr(os, "read", fail)
        return Backlog(directory, records_max=records_max)


def test_a_file_that_could_not_be_read_at_start_is_taken_up_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Backlog(tmp_path, records_max=100)
    add(first, 0, 5)
    first.count_lost(3)
    first.close()
    data = (tmp_path / FILE_NAME).read_bytes()
    backlog = unread(monkeypatch, tmp_path)
    assert backlog.is_troubled
    add(backlog, 5, 5)
    backlog.count_lost(2)
    assert (tmp_path / FILE_NAME).read_bytes() == data
    monkeypatch.setattr("twinplane.node.backlog.RETRY_S", 0.0)
    add(backlog, 10, 5)
    assert not backlog.is_troubled
    assert (backlog.origin, backlog.lost_records, backlog.records) == (first.origin, 5, 15)
    backlog.close()
    again = Backlog(tmp_path, records_max=100)
    assert deliver(again) == lines(0, 15)
    assert (again.origin, again.lost_records) == (first.origin, 5)


def test_a_file_that_stays_unread_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinplane.node.backlog.RETRY_S", 0.0)
    (tmp_path / FILE_NAME).mkdir()
    backlog = Backlog(tmp_path, records_max=10)
    for number in range(5):
        add(backlog, number * 5, 5)
    assert backlog.is_troubled
    assert (backlog.records, backlog.lost_records) == (10, 15)
    assert [each.name for each in tmp_path.iterdir()] == [FILE_NAME]
    # Somebody takes it away.
    (tmp_path / FILE_NAME).rmdir()
    add(backlog, 25, 5)
    assert not backlog.is_troubled
    assert deliver(backlog) == lines(20, 10)


def test_losses_told_before_the_file_could_be_read_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Backlog(tmp_path, records_max=100)
    add(first, 0, 5)
    first.count_lost(3)
    first.close()
    backlog = unread(monkeypatch, tmp_path)
    backlog.count_lost(4)
    add(backlog, 5, 5)
    told: dict[str, int] = {}
    batch = backlog.unsent()
    assert batch is not None
    header, _ = backlog.load(batch) or pytest.fail("it is in memory")
    told[header.lost_origin] = header.lost_records
    assert backlog.settle(header.boot_id, header.number)
    backlog.count_lost(2)
    monkeypatch.setattr("twinplane.node.backlog.RETRY_S", 0.0)
    add(backlog, 10, 5)
    while (batch := backlog.unsent()) is not None:
        header, _ = backlog.load(batch) or pytest.fail("it is on disk")
        told[header.lost_origin] = header.lost_records
        assert backlog.settle(header.boot_id, header.number)
    assert sum(told.values()) == 3 + 4 + 2


def test_a_file_taken_up_later_drops_exactly_what_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Backlog(tmp_path, records_max=10)
    add(first, 0, 10)
    first.close()
    backlog = unread(monkeypatch, tmp_path, records_max=10)
    monkeypatch.setattr("twinplane.node.backlog.RETRY_S", 0.0)
    add(backlog, 10, 6)
    assert (backlog.records, backlog.lost_records) == (10, 6)
    assert deliver(backlog) == lines(6, 10)


def keyring(*keys: str) -> Keyring:
    return read_keyring(keys)


KEYS = [Leaf.self_signed(f"node-{number}").key for number in range(2)]


def test_a_sealed_backlog_tells_nothing_and_survives(tmp_path: Path) -> None:
    first = Backlog(tmp_path, keyring(KEYS[0]), seals=True, records_max=100)
    add(first, 0, 5)
    add(first, 5, 5)
    first.settle(first.boot_id, 1)
    packed = pack_lines(lines(5, 5))
    assert packed[:20] not in (tmp_path / FILE_NAME).read_bytes()
    again = Backlog(tmp_path, keyring(KEYS[0]), seals=True, records_max=100)
    add(again, 10, 5)
    assert deliver(again) == lines(5, 10)
    assert again.lost_records == 0


def test_a_backlog_of_another_key_is_counted_as_lost(tmp_path: Path) -> None:
    add(Backlog(tmp_path, keyring(KEYS[0]), seals=True, records_max=100), 0, 5)
    for ring in (keyring(KEYS[1]), None):
        other = tmp_path / f"other-{ring is None}"
        other.mkdir()
        (other / FILE_NAME).write_bytes((tmp_path / FILE_NAME).read_bytes())
        again = Backlog(other, ring, seals=True, records_max=100)
        assert deliver(again) == b""
        assert again.lost_records == 5


def test_a_new_key_and_switching_lose_nothing(tmp_path: Path) -> None:
    first = Backlog(tmp_path, keyring(KEYS[0]), records_max=100)
    add(first, 0, 5)
    sealed = Backlog(tmp_path, keyring(KEYS[0]), seals=True, records_max=100)
    add(sealed, 5, 5)
    sealed.rekey(read_key(KEYS[1]))
    add(sealed, 10, 5)
    renewed = Backlog(tmp_path, keyring(KEYS[1]), seals=True, records_max=100)
    assert renewed.records == 15
    plain = Backlog(tmp_path, keyring(KEYS[1]), records_max=100)
    assert deliver(plain) == lines(0, 15)


@pytest.mark.parametrize("from_then_on", [False, True])
@pytest.mark.parametrize("seals", [False, True])
def test_each_call_of_the_disk_failing_in_turn_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seals: bool, from_then_on: bool
) -> None:
    monkeypatch.setattr("twinplane.node.backlog.RETRY_S", 0.0)
    number, calls = 0, 1
    while number < calls:
        directory = tmp_path / str(number)
        directory.mkdir()
        backlog = Backlog(directory, keyring(KEYS[0]), seals=seals, records_max=100)
        add(backlog, 0, 5)
        with monkeypatch.context() as patch:
            # A full or read-only disk still gives back what is on it.
            fails = disk_full(number, from_then_on=from_then_on)
            disk = FaultyDisk(patch, fails=fails, reads_fail=not from_then_on)
            add(backlog, 5, 5)
            add(backlog, 10, 5)
            calls = max(calls, disk.calls)
        # The disk is well again: what waited in memory is on it.
        add(backlog, 15, 5)
        assert not backlog.is_troubled
        backlog.close()
        again = Backlog(directory, keyring(KEYS[0]), seals=seals, records_max=100)
        rows = deliver(again)
        assert again.lost_records + rows.count(b"\n") == 20
        # A batch that the disk does not give back is all that may go, and it is counted.
        assert again.lost_records in ((0,) if from_then_on else (0, 5))
        number += 1
    assert calls > 3
