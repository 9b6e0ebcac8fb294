"""The page of every plugin has an example that a control plane takes, and is part of the reference."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from twinplane.control import declarative
from twinplane.registry import plugin_types

ROOT = Path(__file__).resolve().parents[3]
_FENCED = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def _page(name: str) -> str:
    folder = ROOT / "python/twinplane/plugins" / plugin_types()[name].folder
    return (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(plugin_types()))
def test_the_example_of_the_page_is_taken_and_is_about_the_plugin(name: str) -> None:
    (first, *_) = _FENCED.findall(_page(name))
    table: dict[str, list[dict[str, Any]]] = orjson.loads(
        declarative.load(yaml.safe_load(first), now=time.time()).json()
    )
    assert name in [row["name"] for row in table["plugins"]]


@pytest.mark.parametrize("name", sorted(plugin_types()))
def test_the_reference_has_the_page_and_every_field(name: str) -> None:
    reference = (ROOT / f"docs/reference/plugins/{name}.md").read_text(encoding="utf-8")
    use, _, parity = _page(name).partition("\n")[2].partition("## Parity")
    assert use.strip() in reference
    assert parity.strip() in reference
    for wanted in ("| phases |", "| scopes |", "| protocols |", "## Configuration"):
        assert wanted in reference
    for field in plugin_types()[name].config.fields:
        assert f"| `{field}` |" in reference
