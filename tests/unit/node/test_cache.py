"""The configuration cache gives back a whole generation or none, whatever happens to its files."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

import pytest

from twinplane.node.cache import FILE_NAME, ConfigCache, Stored, decode_cache, encode_cache
from twinplane.node.errors import CacheDamaged, CacheUnwritable


def generation(number: int) -> Stored:
    """A distinguishable configuration."""
    rows = ",".join(f'{{"id":"{number}-{row}"}}' for row in range(2000))
    return Stored(f"{number:032d}", b'{"services":[' + rows.encode() + b"]}", number, "epoch")


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


def test_a_truncated_cache_falls_back_to_the_generation_before(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    whole = (tmp_path / FILE_NAME).read_bytes()
    for length in [*range(0, len(whole), 512), len(whole) - 1]:
        (tmp_path / FILE_NAME).write_bytes(whole[:length])
        assert ConfigCache(tmp_path).load() == [generation(1)]


def test_a_flipped_bit_is_noticed() -> None:
    whole = encode_cache(generation(7))
    chooser = random.Random(5)
    for _ in range(1000):
        bit = chooser.randrange(len(whole) * 8)
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CacheDamaged):
            decode_cache(bytes(flipped))


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


def test_an_end_at_any_step_of_writing_leaves_a_whole_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(BaseException):
        pass

    calls = 0
    originals = {name: getattr(os, name) for name in ("fsync", "link", "replace", "unlink", "open", "rename")}

    def counted(name: str, limit: int):  # type: ignore[no-untyped-def]
        def call(*args, **kwargs):  # type: ignore[no-untyped-def]
            nonlocal calls
            calls += 1
            if calls > limit:
                raise Ended
            return originals[name](*args, **kwargs)

        return call

    for limit in range(30):
        directory = tmp_path / str(limit)
        directory.mkdir()
        cache = filled(directory, 3)
        calls = 0
        with monkeypatch.context() as patch:
            for name in originals:
                patch.setattr(os, name, counted(name, limit))
            try:
                cache.keep(generation(4))
                is_done = True
            except Ended:
                is_done = False
        found = ConfigCache(directory).load()
        assert found[0] in ([generation(4)] if is_done else [generation(3), generation(4)])
    assert is_done


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_prefix_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CacheUnwritable):
        ConfigCache(tmp_path).keep(generation(1))
    tmp_path.chmod(0o700)


def test_a_prefix_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(CacheUnwritable):
        ConfigCache(tmp_path / "gone").keep(generation(1))
