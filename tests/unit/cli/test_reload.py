"""`twinplane reload` towards a node that it cannot tell."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from twinplane.cli.program import main


def reload(prefix: Path, pid: int) -> int:
    """The exit status, where a process holds the prefix that says it is `pid`."""
    conf = prefix / "kong.conf"
    conf.write_text(f"role = traditional\nprefix = {prefix}\n")
    with (prefix / "node.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(str(pid))
        lock.flush()
        return main(["reload", "-c", str(conf)])


def test_a_node_that_has_just_ended_is_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(60)
    assert reload(tmp_path, ended.pid) == 1
    told = capsys.readouterr().err
    assert f"process {ended.pid}, cannot be told: No such process" in told


def test_a_node_of_another_user_is_told_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int, signum: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    assert reload(tmp_path, os.getpid()) == 1
    assert "cannot be told: Operation not permitted" in capsys.readouterr().err
