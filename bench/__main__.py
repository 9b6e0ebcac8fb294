"""`python -m bench [QUESTION…] [--quick | --smoke]`: ask questions and print tables.

Without a question: every one. `all`: those about requests, that is what a data plane node costs beside its peers.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from bench.effort import EFFORTS
from bench.questions import QUESTIONS, chosen


def main() -> None:
    """Ask what is named, or everything."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=f"all, or of: {', '.join(QUESTIONS)}")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", dest="effort", action="store_const", const="quick", help="all within 12 minutes")
    sizes.add_argument(
        "--smoke", dest="effort", action="store_const", const="smoke", help="only whether it can be asked"
    )
    parser.set_defaults(effort="full")
    arguments = parser.parse_args()
    try:
        names = chosen(arguments.questions)
    except ValueError as error:
        parser.error(str(error))
    for name in names:
        with tempfile.TemporaryDirectory(prefix="twinplane-bench-") as directory:
            rows = QUESTIONS[name].ask(Path(directory), EFFORTS[arguments.effort])
            load = os.getloadavg()[0]
            print(f"## {name}: {QUESTIONS[name].says}\n", *rows, "", sep="\n", flush=True)
            print(f"Load average {load:.1f} on {os.cpu_count()} processors.\n", flush=True)


main()
