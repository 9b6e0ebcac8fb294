"""How long does the router take for one look-up, in tables of several shapes and sizes, and to be built?"""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMAND = ("cargo", "run", "--quiet", "--release", "--package", "twinplane-engine", "--example", "router_speed")


def run(_directory: Path) -> list[str]:
    """A row for each shape and size, in processor time."""
    printed = subprocess.run(COMMAND, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    rows = ["| shape | routes | look-up ns | build ms |", "|---|---|---|---|"]
    for line in printed.splitlines()[1:]:
        routes, lookup, build = line[34:].split()[:3]
        rows.append(f"| {line[:34].strip()} | {routes} | {lookup} | {build} |")
    return rows
