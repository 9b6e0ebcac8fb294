"""The configuration cache under faults: ends at any moment, any call of the disk failing, damage, foreign keys."""

from __future__ import annotations

import os
import random
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.certificates import Leaf
from tests.faulty_disk import FaultyDisk, disk_full

from twinplane.node.cache import FILE_NAME, ConfigCache, Stored, decode_cache, encode_cache, sealed_with
from twinplane.node.errors import CacheDamaged, CacheUnwritable
from twinplane.node.seal import Keyring, read_key, read_keyring

KEYS = [Leaf.self_signed(f"node-{number}").key for number in range(3)]
KILLS = 200


def generation(number: int) -> Stored:
    """A distinguishable configuration."""
    rows = ",".join(f'{{"id":"{number}-{row}"}}' for row in range(200))
    return Stored(f"{number:032d}", b'{"services":[' + rows.encode() + b"]}", number, "epoch")


def keyring(*numbers: int) -> Keyring:
    return read_keyring([KEYS[number] for number in numbers])


def filled(directory: Path, count: int, ring: Keyring | None = None) -> ConfigCache:
    directory.mkdir(exist_ok=True)
    cache = ConfigCache(directory, ring, seals=ring is not None)
    for number in range(1, count + 1):
        cache.keep(generation(number))
        cache.confirm()
    return cache


class Ended(BaseException):
    """The process is no more."""


def _keep_and_confirm(cache: ConfigCache) -> None:
    cache.keep(generation(4))
    cache.confirm()


def _keep_and_withdraw(cache: ConfigCache) -> None:
    cache.keep(generation(4))
    cache.withdraw()


@pytest.mark.parametrize("ring", [None, keyring(0)], ids=["plain", "sealed"])
@pytest.mark.parametrize("work", [_keep_and_confirm, _keep_and_withdraw])
def test_an_end_at_any_call_leaves_whole_generations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[ConfigCache], None], ring: Keyring | None
) -> None:
    is_done = False
    number = 0
    while not is_done:
        cache = filled(tmp_path / str(number), 3, ring)
        with monkeypatch.context() as patch:
            # Nothing after the end happens: all calls fail.
            FaultyDisk(patch, fails=lambda call, number=number: Ended() if call >= number else None)
            try:
                work(cache)
                is_done = True
            except Ended:
                pass
        found = ConfigCache(tmp_path / str(number), ring).load()
        assert found[0] in (generation(3), generation(4))
        assert generation(3) in found
        number += 1
    assert number > 10


@pytest.mark.parametrize("from_then_on", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("ring", [None, keyring(0)], ids=["plain", "sealed"])
def test_each_call_failing_in_turn_leaves_whole_generations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ring: Keyring | None, from_then_on: bool
) -> None:
    number, calls = 0, 1
    while number < calls:
        directory = tmp_path / str(number)
        cache = filled(directory, 3, ring)
        refused = False
        with monkeypatch.context() as patch:
            disk = FaultyDisk(patch, fails=disk_full(number, from_then_on=from_then_on))
            try:
                cache.keep(generation(4))
            except CacheUnwritable:
                refused = True
            cache.confirm()
            calls = max(calls, disk.calls)
        found = ConfigCache(directory, ring).load()
        assert found[0] in ([generation(3), generation(4)] if refused else [generation(4)])
        assert generation(3) in found
        # The disk is well again: so is the cache.
        cache.keep(generation(5))
        cache.confirm()
        assert ConfigCache(directory, ring).load()[0] == generation(5)
        whole = {path.name for path in directory.iterdir() if not path.name.endswith(".new")}
        assert whole == {FILE_NAME, f"{FILE_NAME}.1"}
        number += 1
    assert calls > 10


@pytest.mark.parametrize("ring", [None, keyring(0)], ids=["plain", "sealed"])
def test_each_call_of_withdrawing_failing_in_turn_keeps_what_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ring: Keyring | None
) -> None:
    number, calls = 0, 1
    while number < calls:
        cache = filled(tmp_path / str(number), 3, ring)
        cache.keep(generation(4))
        with monkeypatch.context() as patch:
            disk = FaultyDisk(patch, fails=disk_full(number))
            cache.withdraw()
            calls = max(calls, disk.calls)
        # The core refuses what could not be withdrawn once more, and takes the next.
        assert generation(3) in ConfigCache(tmp_path / str(number), ring).load()
        number += 1


@pytest.mark.parametrize("ring", [None, keyring(0)], ids=["plain", "sealed"])
def test_each_call_of_loading_failing_in_turn_gives_whole_generations_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ring: Keyring | None
) -> None:
    filled(tmp_path, 3, ring)
    number, calls = 0, 1
    while number < calls:
        cache = ConfigCache(tmp_path, ring)
        with monkeypatch.context() as patch:
            disk = FaultyDisk(patch, fails=disk_full(number))
            found = cache.load()
            calls = max(calls, disk.calls)
        assert found in ([generation(3), generation(2)], [generation(3)], [generation(2)])
        assert len(found) + len(cache.damages) >= 2
        number += 1


@pytest.mark.parametrize("ring", [None, keyring(0)], ids=["plain", "sealed"])
def test_a_kill_at_any_moment_of_writing_leaves_the_old_or_the_new(tmp_path: Path, ring: Keyring | None) -> None:
    """Writers are killed at random moments; each has told what it had kept before."""
    chooser = random.Random(7)
    filled(tmp_path, 1, ring)
    kept = 1
    for _ in range(KILLS // 2):
        read_end, write_end = os.pipe()
        writer = os.fork()
        if writer == 0:
            try:
                _write_for_ever(tmp_path, ring, kept, write_end)
            finally:
                os._exit(1)
        os.close(write_end)
        first = os.read(read_end, 8)
        time.sleep(chooser.random() * 0.006)
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        told = first
        while piece := os.read(read_end, 65_536):
            told += piece
        os.close(read_end)
        (told_last,) = struct.unpack_from("!Q", told, len(told) - len(told) % 8 - 8)
        found = ConfigCache(tmp_path, ring).load()
        assert found[0] in (generation(told_last), generation(told_last + 1))
        kept = int(found[0].config_hash)
        assert kept >= told_last


def _write_for_ever(directory: Path, ring: Keyring | None, kept: int, pipe: int) -> None:
    cache = ConfigCache(directory, ring, seals=ring is not None)
    cache.load()
    os.write(pipe, struct.pack("!Q", kept))
    while True:
        kept += 1
        cache.keep(generation(kept))
        os.write(pipe, struct.pack("!Q", kept))
        cache.confirm()


def test_a_sealed_cache_tells_nothing_and_no_two_are_alike() -> None:
    first, second = (encode_cache(generation(1), keyring(0)) for _ in range(2))
    assert b"services" not in first
    body_first, body_second = first.partition(b"\n")[2], second.partition(b"\n")[2]
    assert body_first[:64] != body_second[:64]
    assert decode_cache(first, keyring(0)) == decode_cache(second, keyring(0)) == generation(1)


def test_a_key_of_another_node_is_told_by_name(tmp_path: Path) -> None:
    filled(tmp_path, 2, keyring(0))
    cache = ConfigCache(tmp_path, keyring(1), seals=True)
    assert cache.load() == []
    assert len(cache.damages) == 2
    assert "sealed with another certificate key" in cache.damages[0]
    assert keyring(0).newest_id.hex() in cache.damages[0]
    with pytest.raises(CacheDamaged, match="no certificate key"):
        decode_cache((tmp_path / FILE_NAME).read_bytes())


def test_an_authenticated_header_cannot_be_changed() -> None:
    whole = encode_cache(generation(1), keyring(0))
    other = encode_cache(Stored(generation(2).config_hash, generation(1).table, 1, "epoch"), keyring(0))
    with pytest.raises(CacheDamaged):
        decode_cache(other.partition(b"\n")[0] + b"\n" + whole.partition(b"\n")[2], keyring(0))


def test_a_new_certificate_key_seals_every_generation_anew(tmp_path: Path) -> None:
    cache = filled(tmp_path, 3, keyring(0))
    cache.rekey(read_key(KEYS[1]))
    assert ConfigCache(tmp_path, keyring(1)).load() == [generation(3), generation(2)]
    assert ConfigCache(tmp_path, keyring(0)).load() == []
    cache.keep(generation(4))
    cache.confirm()
    assert ConfigCache(tmp_path, keyring(1)).load() == [generation(4), generation(3)]


def test_a_rotation_that_is_cut_off_is_completed_with_both_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_done, number = False, 0
    while not is_done:
        directory = tmp_path / str(number)
        cache = filled(directory, 3, keyring(0))
        with monkeypatch.context() as patch:
            FaultyDisk(patch, fails=lambda call, number=number: Ended() if call >= number else None)
            try:
                cache.rekey(read_key(KEYS[1]))
                is_done = True
            except Ended:
                pass
        assert ConfigCache(directory, keyring(1, 0), seals=True).load() == [generation(3), generation(2)]
        assert ConfigCache(directory, keyring(1)).load() == [generation(3), generation(2)]
        number += 1


def test_an_old_key_opens_the_cache_once_and_is_needed_no_more(tmp_path: Path) -> None:
    filled(tmp_path, 2, keyring(0))
    assert ConfigCache(tmp_path, keyring(1, 0), seals=True).load() == [generation(2), generation(1)]
    assert ConfigCache(tmp_path, keyring(1)).load() == [generation(2), generation(1)]


def test_switching_encryption_on_and_off_keeps_the_configuration(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    assert ConfigCache(tmp_path, keyring(0), seals=True).load() == [generation(2), generation(1)]
    assert sealed_with((tmp_path / FILE_NAME).read_bytes()) == keyring(0).newest_id
    again = ConfigCache(tmp_path, keyring(0))
    assert again.load() == [generation(2), generation(1)]
    again.keep(generation(3))
    assert sealed_with((tmp_path / FILE_NAME).read_bytes()) is None


def test_a_key_is_the_same_however_it_is_written() -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(KEYS[0].encode(), None)
    other = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    assert other != KEYS[0].encode()
    assert read_key(other.decode()) == read_key(KEYS[0])
    assert "secret" not in repr(read_key(KEYS[0]))


def test_an_encrypted_or_broken_key_is_refused() -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(KEYS[0].encode(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    for pem in (locked.decode(), "no key"):
        with pytest.raises(ValueError):  # noqa: PT011 - each has its own text
            read_key(pem)
