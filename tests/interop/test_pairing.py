"""The pairing script without a Kong: what it refuses, what it skips, and that it drives a node that behaves as one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.interop.pairing import main

ROOT = Path(__file__).resolve().parents[2]


def program(directory: Path, text: str) -> Path:
    path = directory / "kong"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_it_says_how_it_is_used() -> None:
    script = ROOT / "tests" / "interop" / "run"
    done = subprocess.run(
        [script, "--help"], capture_output=True, env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}, check=False
    )
    assert done.returncode == 0
    for word in (b"--kong", b"--database", b"--only", b"--link"):
        assert word in done.stdout
    done = subprocess.run(
        [script], capture_output=True, env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}, check=False
    )
    assert done.returncode == 2
    assert b"--kong" in done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("exit 3", "does not say its version"),
        ("echo nothing", "does not say its version"),
        ("echo 2.8.1", "is version 2.8.1"),
    ],
)
def test_what_is_no_kong_of_version_3_is_refused(
    tmp_path: Path, text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--kong", str(program(tmp_path, text))]) == 2
    assert told in capsys.readouterr().err


def test_a_path_without_kong_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        assert main(["--kong", str(path)]) == 2
        assert "no program called kong" in capsys.readouterr().err
    (tmp_path / "kong").write_text("")
    assert main(["--kong", str(tmp_path)]) == 2


def test_what_needs_a_database_is_skipped_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kong = str(program(tmp_path, "echo 3.9.3"))
    assert main(["--kong", kong, "--only", "kong-control-plane"]) == 2
    assert "skipped  kong-control-plane, version 1: a Kong control plane needs --database" in capsys.readouterr().out
    assert main(["--kong", kong, "--database", "mysql://x"]) == 2
    assert "--database: expected postgres://" in capsys.readouterr().err


def test_a_database_that_cannot_be_used_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kong = program(tmp_path, '[ "$1" = version ] && echo 3.9.3 && exit; echo no such database >&2; exit 1')
    options = ["--only", "kong-control-plane", "--link", "1", "--database", "postgres://kong@127.0.0.1:1/kong"]
    assert main(["--kong", str(kong), *options]) == 1
    assert "FAILED   kong-control-plane, version 1: the database cannot be used: no such database" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_node_that_behaves_as_one_passes(tmp_path: Path, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Our own node in the place of Kong's: every step of that direction is run."""
    text = f'[ "$1" = version ] && echo 3.9.3 && exit; exec {sys.executable} -m twinplane data-plane -c "$3"'
    kong = program(tmp_path, f"PYTHONPATH={ROOT / 'python'}; export PYTHONPATH; {text}")
    status = main(["--kong", str(kong), "--only", "kong-node", "--link", version, "--seconds", "40"])
    told = capsys.readouterr().out
    assert status == 0, told
    assert told.count("ok       ") == 8


def test_a_node_that_never_comes_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kong = program(tmp_path, '[ "$1" = version ] && echo 3.9.3 && exit; echo started; exec sleep 60')
    assert main(["--kong", str(kong), "--only", "kong-node", "--link", "1", "--seconds", "1"]) == 1
    told = capsys.readouterr().out
    assert "FAILED   kong-node, version 1" in told
    assert "started" in told
