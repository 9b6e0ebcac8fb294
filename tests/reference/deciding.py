"""Asks the engine for decisions, through the program `decide` of its crate: one line of JSON in, one out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Engine:
    """A running program."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", bufsize=1
        )

    def decide(self, decision: str, **facts: object) -> Any:
        """The engine's answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"decide": decision, **facts}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the engine gave up on {decision} {facts}"
        return json.loads(line)

    def close(self) -> None:
        """Ends the program."""
        self._process.communicate()


def built() -> Path:
    """The program, built if cargo is here."""
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("cargo is not installed: the engine is not compared with its plain statement")
    command = [cargo, "build", "--quiet", "--package", "twinplane-engine", "--example", "decide"]
    subprocess.run(command, cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "debug" / "examples" / "decide"


def running() -> Iterator[Engine]:
    """An engine for the tests of a session."""
    engine = Engine(built())
    yield engine
    engine.close()
