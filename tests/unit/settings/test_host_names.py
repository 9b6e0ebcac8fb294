"""Host names are read by the table that processes and docs follow."""

from __future__ import annotations

import pytest

from twinplane.settings.host_names import BARE, HostNames, bare_name
from twinplane.settings.network import (
    API,
    CLOUD,
    CONFIGURATION,
    GLOBAL,
    GLOBAL_API,
    HOSTS,
    MESH,
    TELEMETRY,
    HostKind,
    certificate_names,
    client_certificate_patterns,
)

NAMES = HostNames(("twin.test", "other.example"), bare=("gateway.corp.example",))


@pytest.mark.parametrize("kind", HOSTS, ids=lambda kind: kind.name)
def test_every_form_of_every_kind_is_read_back(kind: HostKind) -> None:
    for host in kind.hosts(domain="twin.test", region="eu", prefix="0a1b2c3d4e"):
        found = NAMES.read(host)
        assert found is not None
        assert found.kind is kind
        assert found.region == ("eu" if kind.is_regional else GLOBAL)
        assert found.prefix == ("0a1b2c3d4e" if "{prefix}" in kind.template else "")


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("US.API.Twin.Test:9443", API),
        ("us.api.twin.test.", API),
        ("us.api.other.example", API),
        ("global.api.twin.test", GLOBAL_API),
        ("cloud.twin.test", CLOUD),
        ("global.mesh.sync.twin.test", MESH),
        ("5f1b9d5e-8a2c-4d5e-9f00-0123456789ab.us.cp0.twin.test", CONFIGURATION),
        ("abc.us.tp.twin.test", TELEMETRY),
    ],
)
def test_names_are_read_whatever_their_spelling(host: str, kind: HostKind) -> None:
    found = NAMES.read(host)
    assert found is not None
    assert found.kind is kind


@pytest.mark.parametrize(
    "host", ["", "localhost:9443", "127.0.0.1:1", "[::1]:9443", "::1", "machine", "twin.test", "gateway.corp.example"]
)
def test_bare_addresses_say_nothing(host: str) -> None:
    assert NAMES.read(host) == BARE


@pytest.mark.parametrize(
    "host",
    [
        "us.api.twin.test.evil.example",
        "xus.api.twin.tests",
        "a.b.us.cp0.twin.test",
        "-a.us.cp0.twin.test",
        "us.apitwin.test",
        "usxapi.twin.test",
        "toolong7.api.twin.test",
        "who.knows.example",
    ],
)
def test_other_names_are_nobodys(host: str) -> None:
    assert NAMES.read(host) is None


def test_names_are_stripped_to_what_is_compared() -> None:
    assert bare_name(" [2001:DB8::1]:443 ") == "2001:db8::1"
    assert bare_name("A.b.:80") == "a.b"


def test_the_certificate_covers_both_forms_of_link_names() -> None:
    names = certificate_names("twin.test", ("us", "eu"))
    assert {"*.eu.cp0.twin.test", "*.eu.cp.twin.test", "*.us.tp.twin.test", "global.mesh.sync.twin.test"} <= set(names)
    assert len(names) == len(set(names))
    patterns = client_certificate_patterns("twin.test", ("us",))
    assert {"*.us.cp0.twin.test", "*.us.cp.twin.test", "us.kic.api.twin.test"} <= set(patterns)
    assert "us.api.twin.test" not in patterns
