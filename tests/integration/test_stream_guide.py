"""The guide to streams: its configuration loads, and its listeners are read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from twinplane.node.declared import read_declared
from twinplane.settings.listeners import read_stream_listeners

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "streams.md"


def test_what_the_guide_shows_is_taken(tmp_path: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    shown, plugins = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "kong.yaml").write_text(shown + plugins)
    table = read_declared(tmp_path / "kong.yaml", None, "traditional_compatible").stored.table
    assert b"tls_passthrough" in table
    assert b"file-log" in table
    (directive,) = re.findall(r"^stream_listen = (.*)$", text, re.MULTILINE)
    assert [(each.tls, each.udp) for each in read_stream_listeners(directive)] == [
        (False, False),
        (True, False),
        (False, False),
        (False, True),
    ]
