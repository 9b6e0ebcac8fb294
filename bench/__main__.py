"""`python -m bench [QUESTION…]`: ask the questions and print their tables, as they stand in bench/README.md."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import deltas, fleet, matching, pages, propagation, proxying, python_plugins, restarting, routes, storing

QUESTIONS: dict[str, Callable[[Path], list[str]]] = {
    "proxying": proxying.run,
    "python-plugins": python_plugins.run,
    "routes": routes.run,
    "matching": matching.run,
    "swaps": routes.run_swaps,
    "propagation": propagation.run,
    "deltas": deltas.run,
    "storing": storing.run,
    "pages": pages.run,
    "fleet": fleet.run,
    "sizes": fleet.run_sizes,
    "restarting": restarting.run,
}


def main() -> None:
    """Ask what is named, or everything."""
    for name in sys.argv[1:] or QUESTIONS:
        with tempfile.TemporaryDirectory(prefix="twinplane-bench-") as directory:
            print(f"## {name}\n", *QUESTIONS[name](Path(directory)), "", sep="\n", flush=True)


main()
