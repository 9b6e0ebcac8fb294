"""The configuration cache gives back a whole generation or none, whatever happens to its files."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

import pytest
from tests.certificates import Leaf

from twinplane.node.cache import FILE_NAME, ConfigCache, Stored, decode_cache, encode_cache
from twinplane.node.errors import CacheDamaged, CacheUnwritable
from twinplane.node.seal import read_keyring


def generation(number: int) -> Stored:
    """A distinguishable configuration."""
    rows = ",".join(f'{{"id":"{number}-{row}"}}' for row in range(2000))
    return Stored(f"{number:032d}", b'{"services":[' + rows.encode() + b"]}", number, "epoch")


def large(number: int) -> Stored:
    """A configuration that gzip cannot make small."""
    return Stored(f"{number:032d}", b'"' + random.Random(number).randbytes(200_000).hex().encode() + b'"', number, "e")


def filled(directory: Path, count: int) -> ConfigCache:
    cache = ConfigCache(directory)
    for number in range(1, count + 1):
        cache.keep(generation(number))
        cache.confirm()
    return cache


def test_the_newest_generation_comes_first(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    assert ConfigCache(tmp_path).load() == [generation(3), generation(2)]
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME, f"{FILE_NAME}.1"]


def test_no_cache_is_empty(tmp_path: Path) -> None:
    assert ConfigCache(tmp_path).load() == []


def test_a_deleted_cache_is_the_operators_will(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    (tmp_path / FILE_NAME).unlink()
    assert ConfigCache(tmp_path).load() == []


@pytest.mark.parametrize("seals", [False, True], ids=["plain", "sealed"])
def test_a_truncated_cache_falls_back_to_the_generation_before(tmp_path: Path, seals: bool) -> None:
    ring = read_keyring([Leaf.self_signed("node").key])
    cache = ConfigCache(tmp_path, ring, seals=seals)
    for number in (1, 2):
        cache.keep(large(number))
        cache.confirm()
    whole = (tmp_path / FILE_NAME).read_bytes()
    assert len(whole) > 40 * 4096
    for length in [*range(0, len(whole), 4096), len(whole) - 1]:
        (tmp_path / FILE_NAME).write_bytes(whole[:length])
        again = ConfigCache(tmp_path, ring, seals=seals)
        assert again.load() == [large(1)]
        assert len(again.damages) == 1


@pytest.mark.parametrize("seals", [False, True], ids=["plain", "sealed"])
def test_a_flipped_bit_is_noticed(seals: bool) -> None:
    ring = read_keyring([Leaf.self_signed("node").key]) if seals else None
    whole = encode_cache(generation(7), ring)
    chooser = random.Random(5)
    for _ in range(1000):
        bit = chooser.randrange(len(whole) * 8)
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CacheDamaged):
            decode_cache(bytes(flipped), ring)


def test_what_is_damaged_is_not_rotated_over_what_is_whole(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    (tmp_path / FILE_NAME).write_bytes(b"{}")
    cache = ConfigCache(tmp_path)
    assert cache.load() == [generation(1)]
    cache.keep(generation(3))
    assert ConfigCache(tmp_path).load() == [generation(3), generation(1)]


def test_a_withdrawn_generation_leaves_those_before_it(tmp_path: Path) -> None:
    cache = filled(tmp_path, 2)
    cache.keep(generation(3))
    cache.withdraw()
    assert ConfigCache(tmp_path).load() == [generation(2), generation(1)]


def test_the_first_generation_can_be_withdrawn(tmp_path: Path) -> None:
    cache = ConfigCache(tmp_path)
    cache.keep(generation(1))
    cache.withdraw()
    assert ConfigCache(tmp_path).load() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_prefix_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CacheUnwritable):
        ConfigCache(tmp_path).keep(generation(1))
    tmp_path.chmod(0o700)


def test_a_prefix_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(CacheUnwritable):
        ConfigCache(tmp_path / "gone").keep(generation(1))
