"""An installed plugin in Python on both planes: served like a bundled one, run by the node, refused where it lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.installation import Installation, Upstream, eventually, installation

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

CODE = '''
from typing import Annotated

from twinplane.pdk import Config, Context, Plugin, Request
from twinplane.schema import Between


class StampConfig(Config):
    """What to stamp."""

    header: Annotated[str, "Header to set."]
    times: Annotated[int, Between(1, 3), "How often."] = 1


class Stamp(Plugin[StampConfig]):
    """Stamps requests."""

    name = "stamp"
    version = "2.1.0"
    priority = 801
    config_class = StampConfig
    scopes = ("service", "route")

    def access(self, request: Request, ctx: Context, config: StampConfig) -> None:
        request.headers[config.header] = "stamp" * config.times
'''


def install(directory: Path, name: str, code: str) -> dict[str, str]:
    """Put a distribution with one plugin on the path of processes; gives their environment."""
    facts = directory / f"{name}_plugin-2.1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 2.1.0\n")
    (facts / "entry_points.txt").write_text(f"[twinplane.plugins]\n{name} = {name}_plugin:{name.title()}\n")
    (directory / f"{name}_plugin.py").write_text(code)
    path = os.pathsep.join([str(directory), os.environ.get("PYTHONPATH", "python")])
    return {"PYTHONPATH": path}


WRITTEN_FOR_KONG = Path(__file__).parents[1] / "conformance/kong_pdk/plugins"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    environ = install(tmp_path_factory.mktemp("site"), "stamp", CODE)
    names = ("--plugins", "bundled,stamp,tell-and-guard", "--python-plugin-directory", str(WRITTEN_FOR_KONG))
    with installation(tmp_path_factory.mktemp("up"), *names, environ=environ) as found:
        yield found


def test_its_schema_is_served_as_that_of_a_bundled_one(up: Installation) -> None:
    schema = up.admin("GET", "/schemas/plugins/stamp").json()
    fields = {name: facts for field in schema["fields"] for name, facts in field.items()}
    (header, times) = fields["config"]["fields"]
    assert header["header"] == {"type": "string", "required": True, "description": "Header to set."}
    assert (times["times"]["between"], times["times"]["default"]) == ([1, 3], 1)
    assert fields["consumer"]["eq"] is None
    available = up.admin("GET", "/").json()["plugins"]["available_on_server"]
    assert available["stamp"] == {"version": "2.1.0", "priority": 801}
    assert "stamp" in up.admin("GET", "/plugins/enabled").json()["enabled_plugins"]


def test_its_configuration_is_checked_and_run(up: Installation) -> None:
    refused = up.admin("POST", "/plugins", {"name": "stamp", "config": {"times": 9, "other": 1}})
    assert refused.status == 400
    assert refused.json()["fields"]["config"] == {
        "header": "required field missing",
        "times": "value should be between 1 and 3",
        "other": "unknown field",
    }
    with Upstream() as upstream:
        up.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"})
        up.admin("PUT", "/services/s/routes/r", {"paths": ["/stamped"]})
        made = up.admin("POST", "/services/s/plugins", {"name": "stamp", "config": {"header": "X-Stamp", "times": 2}})
        assert (made.status, made.json()["config"]) == (201, {"header": "X-Stamp", "times": 2})

        def is_stamped() -> bool:
            up.proxy("GET", "/stamped")
            return bool(upstream.seen) and upstream.seen[-1][2].get("X-Stamp") == "stampstamp"

        eventually(is_stamped)


def test_one_that_is_written_for_kong_is_declared_there_and_run_here(up: Installation) -> None:
    assert up.admin("GET", "/schemas/plugins/tell-and-guard").status == 200
    with Upstream() as upstream:
        up.admin("PUT", "/services/k", {"url": f"http://127.0.0.1:{upstream.port}/"})
        up.admin("PUT", "/services/k/routes/k", {"paths": ["/told"]})
        made = up.admin("POST", "/services/k/plugins", {"name": "tell-and-guard", "config": {"message": "good day"}})
        assert made.json()["config"]["limits"] == {"bytes": 10}

        def is_told() -> bool:
            said = up.proxy("GET", "/told").headers.get("x-hello-from-python") or ""
            return said.startswith("Python says good day")

        eventually(is_told)


def test_a_plugin_that_is_not_installed_keeps_a_node_from_starting(tmp_path: Path) -> None:
    environ = install(tmp_path / "site", "broken", "import nothing_of_this_name\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TWINPLANE_", "KONG_"))}
    (tmp_path / "gateway.yaml").write_text('_format_version: "3.0"\n')
    given = {
        "KONG_ROLE": "traditional",
        "KONG_PREFIX": str(tmp_path),
        "KONG_DECLARATIVE_CONFIG": str(tmp_path / "gateway.yaml"),
        "KONG_PLUGINS": "bundled,missing,broken",
    }
    started = subprocess.run(
        [sys.executable, "-m", "twinplane", "data-plane"],
        env={**clean, **environ, **given},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert started.returncode != 0
    assert "plugin 'missing' is enabled but not installed" in started.stderr
    assert "plugin 'broken' cannot be loaded: ModuleNotFoundError" in started.stderr
