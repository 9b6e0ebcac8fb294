"""The guide to plugins in Python: what it shows runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from tests.integration.installation import eventually

from twinplane.testing import gateway

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "python-plugins.md"


def test_the_class_and_the_test_of_the_guide_run() -> None:
    code, *_, test = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    shown: dict[str, Any] = {"__name__": "who_asks"}
    exec(compile(code, "who_asks.py", "exec", dont_inherit=True), shown)
    # What the folder of the guide would import.
    exec(test.replace("from who_asks import WhoAsks\n", ""), shown)
    shown["test_the_upstream_is_told"]()
    with gateway([{"paths": ["/"]}], plugins=[shown["WhoAsks"]]) as gw:
        assert gw.get("/", X_Forbidden="1").status == 403
        assert gw.get("/").header("X-Served") == "yes"


def test_what_is_beside_the_request_runs() -> None:
    *_, shown, _ = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": "refreshing", "Sequence": Sequence}
    exec(f"from twinplane.pdk import *\n{shown}", names)
    refreshing = names["Refreshing"]
    refreshing.log = lambda self, entry, config: None
    with gateway([{"paths": ["/"]}], plugins=[refreshing]) as gw:
        eventually(lambda: gw.metric("twinplane_plugin_refreshing_refreshed_total") >= 1)
        eventually(lambda: gw.plugin("refreshing").node.cache.get("configs") == 1)
