"""The link under random faults, on simulated time: what both ends promise holds for every seed.

Any number of seeds: `python -m tests.simulation --seeds 1000000 --from N`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.simulation.stage import forget_scenery
from tests.simulation.world import Result, simulate

ROOT = Path(__file__).resolve().parents[2]
CHUNKS, SEEDS_EACH, REAL_SEEDS_EACH = 8, 200, 5


@pytest.fixture(scope="module", autouse=True)
def _stage() -> Iterator[None]:
    yield
    forget_scenery()


def passed(result: Result, *, is_real: bool = False) -> Result:
    """The result, unless a promise was broken."""
    if result.violation:
        trace = "\n".join(simulate(result.seed, is_real=is_real, keeps_trace=True).trace)
        pytest.fail(f"seed {result.seed} (real={is_real}): {result.violation}\n{trace}")
    return result


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_promises_hold_under_random_faults(chunk: int) -> None:
    happened: Counter[str] = Counter()
    for seed in range(chunk * SEEDS_EACH, (chunk + 1) * SEEDS_EACH):
        happened.update(passed(simulate(seed)).counts)
    # A simulation in which nothing happens finds nothing.
    for kind in ("is killed", "off both", "can be reached", "far away"):
        kinds = [count for name, count in happened.items() if name.endswith(kind) or kind.endswith(name)]
        assert sum(kinds) >= SEEDS_EACH // 20, (kind, happened)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_promises_hold_on_the_real_control_room(chunk: int) -> None:
    for seed in range(chunk * REAL_SEEDS_EACH, (chunk + 1) * REAL_SEEDS_EACH):
        passed(simulate(seed, is_real=True), is_real=True)


def test_a_seed_is_the_same_run_in_every_process() -> None:
    def digests(hash_seed: str, *options: str) -> str:
        command = [sys.executable, "-m", "tests.simulation", "--digest", "--jobs", "1", "--from", "41", *options]
        environ = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT / 'python'}{os.pathsep}{ROOT}"}
        found = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=True)
        return "\n".join(line for line in found.stdout.splitlines() if len(line.split()) == 2)

    assert digests("1", "--seeds", "6") == digests("2", "--seeds", "6") != ""
    assert digests("1", "--seeds", "2", "--real") == digests("2", "--seeds", "2", "--real") != ""
