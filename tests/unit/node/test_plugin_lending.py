"""What plugins in Python are lent, told of while more is lent."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from twinplane.node.plugin_lending import HostLimits, PluginLending, no_secrets
from twinplane.pdk import Meter


def test_series_are_told_while_a_plugin_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    lending = PluginLending(HostLimits(), secret=no_secrets, trust=ssl.create_default_context, node_id=str)
    lending.to("first").meter.count("seen")
    told = Meter.series

    def series(meter: Meter) -> Iterator[dict[str, Any]]:
        # As an apply on another thread does, at the worst moment.
        lending.to("second")
        return told(meter)

    monkeypatch.setattr(Meter, "series", series)
    assert [each["name"] for each in lending.series()] == ["twinplane_plugin_first_seen_total"]
