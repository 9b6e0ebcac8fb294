"""A clock of a process that a test can shift while the process runs: a small library, loaded before libc."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("clock_shim.c")


class ShiftedClock:
    """The shift of one process, and the environment that has the process obey it."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self.shift(0)
        self.environ = {"LD_PRELOAD": str(library), "CLOCK_SHIFT_FILE": str(file)}

    def shift(self, seconds: float) -> None:
        """From now on the time of day is that many seconds ahead of the machine's."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", int(seconds)))


def build_shim(directory: Path) -> Path:
    """The library; the test is skipped where it cannot be made or does not work."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler for the clock shim")
    library = directory / "clock_shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE)], check=True, timeout=60)
    clock = ShiftedClock(library, directory / "trial")
    clock.shift(86_400 * 365)
    told = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"], env=clock.environ, capture_output=True, timeout=60
    )
    import time

    if abs(float(told.stdout) - time.time() - 86_400 * 365) > 60:
        pytest.skip("the clock shim does not work here")
    return library
