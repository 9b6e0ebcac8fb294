"""The program's own refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinplane.cli import main


def test_wrong_settings_end_with_status_2_and_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--port", "x", "--status-port", "-1"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("twinplane: command line: ") for line in lines)


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["up", "--data", str(tmp_path / "file" / "data")]) == 1
    assert "the directory cannot be made" in capsys.readouterr().err


def test_kong_conf_can_be_checked_without_starting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "kong.conf"
    path.write_text("role = data_plane\nproxy_listen = 1\n")
    assert main(["data-plane", "-c", str(path), "--check"]) == 2
    assert "proxy_listen" in capsys.readouterr().err
