"""Many seeds in a few processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from multiprocessing.util import Finalize

from tests.simulation.stage import forget_scenery
from tests.simulation.world import Result, simulate

Chunk = tuple[int, int, bool]
"""First seed, number of seeds, whether on the real control room."""


def run_chunks(chunks: Sequence[Chunk], jobs: int) -> Iterator[list[Result]]:
    """The results of each chunk, as they come."""
    if jobs == 1:
        yield from map(_run, chunks)
        forget_scenery()
        return
    pool = multiprocessing.get_context("spawn").Pool(jobs, initializer=_begin, maxtasksperchild=40)
    try:
        yield from pool.imap_unordered(_run, chunks)
    finally:
        pool.close()
        pool.join()


def _begin() -> None:
    Finalize(None, forget_scenery, exitpriority=10)


def _run(chunk: Chunk) -> list[Result]:
    first, count, is_real = chunk
    return [simulate(seed, is_real=is_real) for seed in range(first, first + count)]
