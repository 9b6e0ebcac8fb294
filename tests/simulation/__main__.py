"""`python -m tests.simulation`: any number of seeds, any seed again. Prints what broke a promise, with its trace."""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.simulation.runs import run_chunks
from tests.simulation.stage import forget_scenery
from tests.simulation.world import Result, simulate

_CHUNK = 50


def main() -> int:
    """Run seeds; the exit code says whether one failed."""
    options = _options()
    began, failed, done, slowest = time.monotonic(), 0, 0, 0.0
    chunks = [
        (first, min(_CHUNK, options.start + options.seeds - first), options.real)
        for first in range(options.start, options.start + options.seeds, _CHUNK)
    ]
    for results in run_chunks(chunks, options.jobs):
        for result in results:
            done += 1
            slowest = max(slowest, result.settled_s)
            if options.digest:
                print(result.seed, result.digest)
            if result.violation:
                failed += 1
                _tell(result, is_real=options.real)
        if failed >= options.failures:
            break
    forget_scenery()
    took = time.monotonic() - began
    agreed = f"all agreed at most {slowest:.0f} simulated s after the last fault"
    print(f"{done} seeds in {took:.0f} s, {failed} failed; {agreed}")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--from", dest="start", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument(
        "--real", action="store_true", help="on the real control room over SQLite, about five times slower"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one for each core)")
    parser.add_argument("--failures", type=int, default=3, help="stop after so many failed seeds (default: 3)")
    parser.add_argument("--digest", action="store_true", help="print each seed's hash of everything that happened")
    return parser.parse_args()


def _tell(result: Result, *, is_real: bool) -> None:
    print(f"\nseed {result.seed}: {result.violation}")
    print("\n".join(simulate(result.seed, is_real=is_real, keeps_trace=True).trace))
    again = f"python -m tests.simulation --seeds 1 --from {result.seed}{' --real' if is_real else ''} --jobs 1"
    print(f"again: {again}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
