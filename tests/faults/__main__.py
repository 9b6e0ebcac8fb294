"""`python -m tests.faults [file]`: run the fault tests, print the recovery times they measured, write them as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults.conftest import FIGURES


def main() -> int:
    """The exit code of the tests."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(directory, "figures.json")
        command = [sys.executable, "-m", "pytest", "-q", str(Path(__file__).parent)]
        code = subprocess.run(command, env={**os.environ, FIGURES: str(path.absolute())}, check=False).returncode
        for name, value in json.loads(path.read_text()).items() if path.exists() else ():
            print(f"{name:60} {value:8.2f}")
    return code


if __name__ == "__main__":
    sys.exit(main())
