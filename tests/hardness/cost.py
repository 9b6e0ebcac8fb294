"""What something costs this process: memory, and processor time of the core's threads alone."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def memory() -> int:
    """Bytes of this process, the core's among them, that are in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES


def core_seconds() -> float:
    """Processor seconds that the threads of the core have taken, whatever the clients around it do."""
    ticks = 0
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            if (task / "comm").read_text(encoding="utf-8").startswith("twinplane-"):
                # Behind the name in brackets: fields 14 and 15, in the system's ticks.
                fields = (task / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
    return ticks * _TICK_S
