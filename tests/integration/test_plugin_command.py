"""`twinplane plugin`: what it makes runs, is tested, and is swapped when it is edited."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.installation import Client, eventually

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

PYTHON = str(Path(__file__).resolve().parents[2] / "python")


def environment() -> dict[str, str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("TWINPLANE_", "KONG_", "PYTEST"))
    }
    return {**clean, "PYTHONPATH": PYTHON, "PYTHONDONTWRITEBYTECODE": "1"}


def twinplane(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "twinplane", "plugin", *words]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=240)


def test_a_new_plugin_passes_its_tests_and_is_served_while_it_is_edited(tmp_path: Path) -> None:
    made = twinplane("new", "who-asks", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "who-asks"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "pyproject.toml", "tests", "who_asks.py"]
    again = twinplane("new", "who-asks", cwd=tmp_path)
    assert (again.returncode, "not empty" in again.stderr) == (1, True)

    tested = twinplane("test", cwd=folder)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "2 passed" in tested.stdout

    command = [sys.executable, "-m", "twinplane", "plugin", "run", "--port", "0"]
    log = tmp_path / "run.log"
    with log.open("w") as output:
        serving = subprocess.Popen(command, cwd=folder, env=environment(), stdout=output, stderr=subprocess.STDOUT)
        try:
            told = eventually(lambda: re.search(r"http://127\.0\.0\.1:(\d+)/", log.read_text()), seconds=120)
            client = Client(int(told[1]))
            answer = client("GET", "/any")
            assert (answer.status, answer.headers["x-plugin"]) == (200, "who-asks")

            code = folder / "who_asks.py"
            code.write_text(code.read_text().replace('["X-Plugin"] = self.name', '["X-Plugin"] = "edited"'))
            eventually(lambda: client("GET", "/any").headers["x-plugin"] == "edited", seconds=60)
            code.write_text("not Python at all (")
            eventually(
                lambda: "not reloaded: plugin 'who-asks' cannot be loaded: SyntaxError" in log.read_text(), seconds=60
            )
            assert client("GET", "/any").headers["x-plugin"] == "edited"
        finally:
            serving.terminate()
            assert serving.wait(60) == 0, log.read_text()


def test_what_is_no_plugin_is_told(tmp_path: Path) -> None:
    assert "is no name of a plugin" in twinplane("new", "Not A Name", cwd=tmp_path).stderr
    assert "pyproject.toml: cannot be read" in twinplane("test", cwd=tmp_path).stderr
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    assert "names no plugin" in twinplane("run", cwd=tmp_path).stderr
