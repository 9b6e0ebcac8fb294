"""What a node of a control plane does not load, so that it stays small."""

from __future__ import annotations

import subprocess
import sys

import pytest

from twinplane.node.bundled import PLUGINS
from twinplane.registry import plugin_types


@pytest.mark.parametrize("module", ["pydantic", "yaml", "sqlalchemy", "fastapi", "duckdb", "twinplane.registry"])
def test_a_node_does_not_load_what_only_others_need(module: str) -> None:
    code = f"import sys, twinplane.cli.data_plane; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_the_list_of_plugins_is_that_of_the_registry() -> None:
    assert {name: plugin.version for name, plugin in plugin_types().items()} == PLUGINS


@pytest.mark.parametrize("module", ["sqlalchemy", "fastapi", "starlette", "uvicorn", "duckdb"])
def test_the_admin_api_of_a_node_needs_no_store_and_no_framework(module: str) -> None:
    code = f"import sys, twinplane.cli.node_admin; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
