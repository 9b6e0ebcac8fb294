"""Changes are appended to the cache, and give back a whole configuration or the one before, whatever happens."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.certificates import Leaf
from tests.faulty_disk import FaultyDisk, disk_full

from twinplane.control.records import RowChange
from twinplane.control.table_text import join_table
from twinplane.hybrid.delta import Delta, DeltaHead, encode_delta
from twinplane.hybrid.table import split_rows
from twinplane.node.cache import FILE_NAME as CACHE_NAME
from twinplane.node.cache import ConfigCache, Stored
from twinplane.node.config import ConfigKeeper
from twinplane.node.errors import CacheUnwritable
from twinplane.node.journal import FILE_NAME, RECORDS_MAX, JournaledCache, decode_records, encode_record
from twinplane.node.seal import Keyring, read_keyring

EPOCH = "1764000000000-aabbccdd"
MIB = 1_048_576


def row(number: int, text: str) -> bytes:
    return orjson.dumps({"host": text, "id": f"{number:08d}"})


def whole(revision: int, *, rows: int = 400) -> Stored:
    """A configuration that is a file of its own."""
    table = join_table([("services", [row(number, f"at-{revision}") for number in range(rows)])])
    return Stored(f"{revision:032d}", table, revision, EPOCH)


def after(stored: Stored, revision: int) -> Stored:
    """The configuration after one row changed."""
    rows = split_rows(stored.table)
    assert rows is not None
    assert stored.revision is not None
    operation = RowChange("services", f"{revision % 400:08d}", row(revision % 400, f"changed-{revision}"))
    rows = rows.spliced([operation], ["services"])
    head = DeltaHead(EPOCH, stored.revision, revision, f"{revision:032d}", rows.digest, ["services"])
    frame = encode_delta(Delta(head, [operation]), timestamp=1.0)
    return Stored(head.config_hash, rows.text(), revision, EPOCH, frame, stored.revision)


def opened(directory: Path, keyring: Keyring | None = None, *, seals: bool = False) -> JournaledCache:
    inner = ConfigCache(directory, keyring, seals=seals)
    return JournaledCache(inner, directory, keyring, bytes_max=MIB, seals=seals, table_bytes_min=1)


def serve(cache: JournaledCache, stored: Stored) -> Stored:
    cache.keep(stored)
    cache.confirm()
    return stored


def filled(directory: Path, *, changes: int = 3) -> tuple[JournaledCache, list[Stored]]:
    """A cache with a whole configuration of revision 1 and some changes behind it."""
    cache = opened(directory)
    states = [serve(cache, whole(1))]
    for revision in range(2, 2 + changes):
        states.append(serve(cache, after(states[-1], revision)))
    return cache, states


def test_a_change_is_appended_and_found_again(tmp_path: Path) -> None:
    cache, states = filled(tmp_path)
    base = (tmp_path / CACHE_NAME).read_bytes()
    assert cache.appended_total == 3
    assert opened(tmp_path).load() == [states[3], states[2], states[0]]
    assert (tmp_path / CACHE_NAME).read_bytes() == base
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / FILE_NAME).stat().st_size < 3000


def test_a_restarted_node_goes_on_appending(tmp_path: Path) -> None:
    filled(tmp_path)
    cache = opened(tmp_path)
    newest = cache.load()[0]
    for revision in range(5, 8):
        newest = serve(cache, after(newest, revision))
    assert cache.appended_total == 3
    assert opened(tmp_path).load()[0] == newest


def test_a_small_configuration_is_written_whole(tmp_path: Path) -> None:
    cache = JournaledCache(ConfigCache(tmp_path), tmp_path, bytes_max=MIB)
    first = serve(cache, whole(1))
    second = serve(cache, after(first, 2))
    assert cache.appended_total == 0
    assert JournaledCache(ConfigCache(tmp_path), tmp_path, bytes_max=MIB).load() == [second, first]


def test_a_change_of_another_revision_is_written_whole(tmp_path: Path) -> None:
    cache, states = filled(tmp_path)
    serve(cache, after(states[1], 9))
    assert opened(tmp_path).load()[0] == after(states[1], 9)
    # The generation before is what it was with its changes.
    assert opened(tmp_path).load()[1:] == [states[3], states[2], states[0]]


def test_a_long_journal_gives_way_to_a_new_generation(tmp_path: Path) -> None:
    cache, states = filled(tmp_path, changes=0)
    newest = states[0]
    for revision in range(2, 60):
        newest = serve(cache, after(newest, revision))
    assert 0 < cache.appended_total < 58 < RECORDS_MAX
    assert (tmp_path / FILE_NAME).stat().st_size <= len(newest.table) // 4 + 1000
    found = opened(tmp_path).load()
    assert found[0] == newest
    assert len(found) >= 3


def test_a_withdrawn_change_leaves_those_before_it(tmp_path: Path) -> None:
    cache, states = filled(tmp_path)
    cache.keep(after(states[-1], 9))
    cache.withdraw()
    assert opened(tmp_path).load()[0] == states[-1]
    again = serve(cache, after(states[-1], 10))
    assert opened(tmp_path).load()[0] == again
    assert cache.appended_total == 5


def test_a_withdrawn_generation_leaves_the_journal_of_the_one_before(tmp_path: Path) -> None:
    cache, states = filled(tmp_path)
    cache.keep(whole(9))
    assert opened(tmp_path).load() == [whole(9), states[3], states[2], states[0]]
    cache.withdraw()
    assert opened(tmp_path).load() == [states[3], states[2], states[0]]


def test_an_end_between_keeping_and_confirming_costs_nothing(tmp_path: Path) -> None:
    cache, states = filled(tmp_path)
    cache.keep(whole(9))
    # The node ends here, and starts again.
    cache = opened(tmp_path)
    assert cache.load() == [whole(9), states[3], states[2], states[0]]
    newest = serve(cache, after(whole(9), 10))
    assert opened(tmp_path).load() == [newest, whole(9), states[3], states[2], states[0]]


def test_a_torn_journal_gives_back_what_is_whole_of_it(tmp_path: Path) -> None:
    _, states = filled(tmp_path)
    data = (tmp_path / FILE_NAME).read_bytes()
    for length in range(0, len(data), 7):
        (tmp_path / FILE_NAME).write_bytes(data[:length])
        cache = opened(tmp_path)
        found = cache.load()
        assert found[0] in states
        # What is torn is written over.
        newest = serve(cache, after(found[0], 77))
        assert opened(tmp_path).load()[0] == newest
        (tmp_path / FILE_NAME).write_bytes(data)


def test_a_flipped_bit_ends_the_journal_before_it(tmp_path: Path) -> None:
    _, states = filled(tmp_path)
    data = (tmp_path / FILE_NAME).read_bytes()
    for bit in range(0, len(data) * 8, 37):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / FILE_NAME).write_bytes(bytes(flipped))
        assert opened(tmp_path).load()[0] in states


def test_records_count_only_behind_what_they_were_written_behind(tmp_path: Path) -> None:
    first, digest = encode_record(b"one", after="base")
    second, _ = encode_record(b"two", after=digest)
    assert [record.frame for record in decode_records(first + second, after="base")] == [b"one", b"two"]
    assert decode_records(second + first, after="base") == []
    assert decode_records(first + second, after="other") == []
    assert [record.frame for record in decode_records(first + first, after="base")] == [b"one"]


def test_a_change_that_leads_elsewhere_is_not_used(tmp_path: Path) -> None:
    cache, states = filled(tmp_path, changes=1)
    forged = after(states[-1], 3)
    head = DeltaHead(EPOCH, 2, 3, "f" * 32, "0" * 64, ["services"])
    frame = encode_delta(Delta(head, []), timestamp=1.0)
    serve(cache, Stored(forged.config_hash, forged.table, 3, EPOCH, frame, 2))
    found = opened(tmp_path).load()
    assert found == [states[1], states[0]]


def test_any_failing_call_leaves_a_whole_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(200):
        directory = tmp_path / str(number)
        directory.mkdir()
        cache, states = filled(directory, changes=2)
        candidates = [states[-1], after(states[-1], 4)]
        with monkeypatch.context() as patch:
            disk = FaultyDisk(patch, fails=disk_full(number))
            try:
                cache.keep(candidates[1])
                cache.confirm()
                is_kept = True
            except CacheUnwritable:
                cache.withdraw()
                is_kept = False
        found = opened(directory).load()
        assert found[0] == candidates[1] if is_kept else found[0] in candidates
        # It goes on: by a change, or whole.
        newest = serve(cache, after(candidates[1], 5))
        assert opened(directory).load()[0] == newest
        if disk.calls <= number:
            return
    raise AssertionError("the calls never ended")


@pytest.fixture(scope="module")
def keyrings() -> tuple[Keyring, Keyring]:
    old, new = Leaf.self_signed("old").key, Leaf.self_signed("new").key
    return read_keyring([old]), read_keyring([new, old])


def test_changes_are_sealed_with_the_cache(tmp_path: Path, keyrings: tuple[Keyring, Keyring]) -> None:
    cache = opened(tmp_path, keyrings[0], seals=True)
    first = serve(cache, whole(1))
    second = serve(cache, after(first, 2))
    data = (tmp_path / FILE_NAME).read_bytes()
    assert second.change not in data
    assert opened(tmp_path, keyrings[0], seals=True).load() == [second, first]
    # With another key, what was sealed is sealed anew at the start; without any, nothing is read.
    assert opened(tmp_path, keyrings[1], seals=True).load() == [second, first]
    assert (tmp_path / FILE_NAME).read_bytes() != data
    only_new = Keyring([keyrings[1]._keys[0]])
    assert opened(tmp_path, only_new, seals=True).load() == [second, first]
    assert opened(tmp_path).load() == []


def test_a_new_certificate_key_seals_the_journal_anew(tmp_path: Path, keyrings: tuple[Keyring, Keyring]) -> None:
    cache = opened(tmp_path, keyrings[0], seals=True)
    first = serve(cache, whole(1))
    second = serve(cache, after(first, 2))
    key = keyrings[1]._keys[0]
    cache.rekey(key)
    third = serve(cache, after(second, 3))
    assert opened(tmp_path, Keyring([key]), seals=True).load() == [third, second, first]


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_what_cannot_be_sealed_anew_is_served_and_told(
    tmp_path: Path, keyrings: tuple[Keyring, Keyring], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    cache = opened(tmp_path, keyrings[0], seals=True)
    first = serve(cache, whole(1))
    second = serve(cache, after(first, 2))
    cache = opened(tmp_path, keyrings[1], seals=True)
    served: list[bytes] = []
    keeper = ConfigKeeper(
        lambda table: (), cache, complete=lambda table: table, bytes_max=MIB, on_served=lambda table: None
    )
    with monkeypatch.context() as patch:
        original = getattr(os, call)

        def full(*arguments: Any, **options: Any) -> Any:
            # A full disk still opens and reads what is on it.
            if call != "open" or arguments[1] & os.O_CREAT:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return original(*arguments, **options)

        patch.setattr(os, call, full)
        keeper.start(lambda table: served.append(table or b""), (), issues=lambda core: ())
    assert served == [second.table]
    (issue,) = keeper.conditions.issues()
    assert issue.code == "cache_unwritable"
    assert FILE_NAME in issue.message
    # What is kept next needs the former key no more.
    third = serve(cache, after(second, 3))
    only_new = Keyring([keyrings[1]._keys[0]])
    assert opened(tmp_path, only_new, seals=True).load()[0] == third


def test_a_running_node_tells_that_its_new_key_seals_nothing(
    tmp_path: Path, keyrings: tuple[Keyring, Keyring], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = opened(tmp_path, keyrings[0], seals=True)
    serve(cache, after(serve(cache, whole(1)), 2))
    keeper = ConfigKeeper(
        lambda table: (), cache, complete=lambda table: table, bytes_max=MIB, on_served=lambda table: None
    )
    with monkeypatch.context() as patch:

        def full(*arguments: Any) -> Any:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(os, "write", full)
        keeper.rekey(keyrings[1]._keys[0])
    assert [issue.code for issue in keeper.conditions.issues()] == ["cache_unwritable"]
