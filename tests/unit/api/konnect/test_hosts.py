"""Hosts tell a region, or another service."""

from __future__ import annotations

import pytest

from twinplane.api.konnect.hosts import read_host


@pytest.mark.parametrize(
    ("host", "service", "region"),
    [
        ("us.api.twinplane.localhost:9443", None, "us"),
        ("US.API.konghq.local", None, "us"),
        ("global.api.konghq.local", None, "global"),
        ("localhost:9443", None, None),
        ("127.0.0.1", None, None),
        ("", None, None),
        ("abc.us.portal.twinplane.localhost", "portal", "us"),
        ("us.mesh.sync.twinplane.localhost", "mesh", "us"),
        ("us.kic.api.twinplane.localhost", "ingress controller", "us"),
        ("p1.us.cp0.twinplane.localhost", "data plane link", "us"),
    ],
)
def test_host_is_read(host: str, service: str | None, region: str | None) -> None:
    asked = read_host(host)
    assert (asked.service, asked.region) == (service, region)
