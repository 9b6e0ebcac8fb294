"""What is published follows settings and names, and does not flicker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.control_room import open_platform

from twinplane.cli.addresses import AddressKeeper
from twinplane.control.addresses import CHANGES_MAX, Addresses
from twinplane.settings import CONTROL_PLANE, ProcessSettings, SettingsError, load_process_settings


class Names:
    """A name server and a clock that a test sets."""

    def __init__(self) -> None:
        self.known: dict[str, Sequence[str]] = {}
        self.now = 1000.0

    def resolve(self, name: str) -> Sequence[str]:
        if name not in self.known:
            raise OSError("no such name")
        return self.known[name]

    def clock(self) -> float:
        return self.now


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def addresses(tmp_path: Path, names: Names) -> Iterator[Addresses]:
    with open_platform(tmp_path, clock=names.clock) as platform:
        yield platform.control.addresses


def settings(**options: str) -> ProcessSettings:
    given = {name.replace("_", "-"): value for name, value in options.items()}
    return load_process_settings(CONTROL_PLANE, {"regions": "us,eu", "domain": "twin.test", **given}, {})


def keeper(addresses: Addresses, names: Names, *regions: str, **options: str) -> AddressKeeper:
    return AddressKeeper(settings(**options), addresses, regions, resolve=names.resolve, clock=names.clock)


async def test_given_addresses_are_published_once(addresses: Addresses, names: Names) -> None:
    given = {"ip_ingress": "us=203.0.113.7,us=2001:db8::/48,eu=198.51.100.0/24", "ip_egress": "us=203.0.113.9"}
    await keeper(addresses, names, "us", "global", **given).run()
    published = addresses.published()
    assert published.ingress == {"us": ["2001:db8::/48", "203.0.113.7/32"], "global": []}
    assert published.egress == {"us": ["203.0.113.9/32"]}
    assert [(change.number, change.region, change.direction) for change in published.changes] == [
        (2, "us", "egress"),
        (1, "us", "ingress"),
    ]
    await keeper(addresses, names, "us", "global", **given).run()
    assert addresses.published() == published


async def test_names_are_resolved_and_do_not_flicker(addresses: Addresses, names: Names) -> None:
    names.known = {"us.api.twin.test": ["203.0.113.1"], "us.kic.api.twin.test": ["203.0.113.1", "2001:db8::1"]}
    names.known["lb.example.com"] = ["198.51.100.4"]
    kept = keeper(addresses, names, "us", ip_resolve="60", ip_names="us=lb.example.com", ip_forget="3600")
    await kept.round()
    first = ["198.51.100.4/32", "2001:db8::1/128", "203.0.113.1/32"]
    assert addresses.published().ingress == {"us": first}

    # A name server that tells one of several addresses at a time.
    names.now += 60
    names.known["us.kic.api.twin.test"] = ["203.0.113.1"]
    await kept.round()
    assert addresses.published().ingress == {"us": first}

    # One that fails says nothing about what is there.
    names.now += 3000
    del names.known["us.kic.api.twin.test"]
    await kept.round()
    names.now += 3000
    await kept.round()
    assert addresses.published().ingress == {"us": first}
    assert kept.failed_total == 2

    # What is gone for long is gone.
    names.known["us.kic.api.twin.test"] = ["203.0.113.1"]
    names.now += 3601
    await kept.round()
    assert addresses.published().ingress == {"us": ["198.51.100.4/32", "203.0.113.1/32"]}
    newest = addresses.published().changes[0]
    # A name that is never known keeps nothing alive but what it gave itself.
    del names.known["us.kic.api.twin.test"]
    names.known["lb.example.com"] = ["198.51.100.5"]
    for _ in range(3):
        names.now += 1800
        await kept.round()
    assert addresses.published().ingress == {"us": ["198.51.100.5/32", "203.0.113.1/32"]}
    assert (newest.added, newest.removed) == ((), ("2001:db8::1/128",))


async def test_a_restart_tells_nothing_new(tmp_path: Path, names: Names) -> None:
    names.known = {"us.api.twin.test": ["203.0.113.1"], "us.kic.api.twin.test": ["203.0.113.2"]}
    with open_platform(tmp_path / "a", clock=names.clock) as platform:
        store = platform.control.addresses
        await keeper(store, names, "us", ip_resolve="60").round()
        before = store.published()
        names.known = {"us.api.twin.test": ["203.0.113.1"], "us.kic.api.twin.test": ["203.0.113.1"]}
        again = Addresses(store._database, names.clock)
        fresh = keeper(again, names, "us", ip_resolve="60")
        fresh._recall()
        await fresh.round()
        assert again.published() == before


async def test_history_and_regions_are_bounded(addresses: Addresses, names: Names) -> None:
    for number in range(CHANGES_MAX + 20):
        addresses.publish(ingress={"us": [f"198.51.{number}.0/24"]}, egress={})
    changes = addresses.published().changes
    assert len(changes) == CHANGES_MAX
    assert [change.number for change in changes] == list(range(CHANGES_MAX + 20, 20, -1))
    names.known = {"us.api.twin.test": [f"10.0.{n // 250}.{n % 250}" for n in range(256)]}
    names.known["us.kic.api.twin.test"] = [f"10.1.0.{n}" for n in range(9)]
    kept = keeper(addresses, names, "us", ip_resolve="60")
    await kept.round()
    assert len(addresses.published().ingress["us"]) == 256
    assert kept.dropped_total == 9


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"ip_ingress": "us=x", "ip_egress": "us", "ip_resolve": "-1"}, {"ip-ingress", "ip-egress", "ip-resolve"}),
        ({"ip_ingress": "in=10.0.0.1"}, {"ip-ingress"}),
        ({"ip_names": "us=A.test", "ip_resolve": "60"}, {"ip-names"}),
        ({"ip_names": "us=a.test"}, {"ip-names"}),
    ],
)
def test_wrong_settings_are_told(options: dict[str, str], wrong: set[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**options)
    assert {mistake.name for mistake in caught.value.mistakes} == wrong
