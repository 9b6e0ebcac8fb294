"""Where the data of each region lies, and what does not fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinplane.settings import CONTROL_PLANE, SettingsError, load_process_settings
from twinplane.settings.regions import Layout, read_layout


def layout(**options: str) -> Layout:
    given = {name.replace("_", "-"): value for name, value in {"data": "/srv/twin", **options}.items()}
    return read_layout(load_process_settings(CONTROL_PLANE, given, {}).values)


def test_one_region_lies_in_the_data_directory_with_everything_global() -> None:
    found = layout()
    assert found.is_single
    assert (found.served, found.stores, found.global_store) == (("us",), {"us": Path("/srv/twin")}, Path("/srv/twin"))
    assert found.directories == (Path("/srv/twin"),)


def test_several_regions_have_a_directory_each() -> None:
    found = layout(regions="us,eu,global", region_data="eu=/mnt/eu")
    assert not found.is_single
    assert found.regions == ("us", "eu")
    assert found.stores == {"us": Path("/srv/twin/regions/us"), "eu": Path("/mnt/eu")}
    assert found.serves_global
    assert found.global_store == Path("/srv/twin")


def test_a_process_of_one_region_holds_its_own_directory_only() -> None:
    found = layout(regions="us,eu", serve="eu", global_data="/srv/global")
    assert (found.served, found.serves_global) == (("eu",), False)
    assert found.directories == (Path("/srv/twin/regions/eu"),)
    assert found.global_store == Path("/srv/global")
    asked = layout(regions="us,eu", serve="eu", global_data="https://global.api.twin.test:9443/")
    assert (asked.global_store, asked.global_url) == (None, "https://global.api.twin.test:9443")


def test_a_process_may_serve_nothing_but_what_is_global() -> None:
    found = layout(regions="us,eu", serve="global")
    assert (found.served, found.serves_global) == ((), True)


def test_a_region_may_share_the_directory_of_what_is_global() -> None:
    found = layout(regions="us,eu", region_data="us=/srv/twin")
    assert found.regions_at(Path("/srv/twin")) == ("us",)
    assert found.regions_at(Path("/srv/other")) == ()


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"regions": "us,EU"}, {"regions"}),
        ({"regions": "global"}, {"regions"}),
        ({"regions": "us", "serve": "eu"}, {"serve"}),
        ({"regions": "us", "region_data": "eu=/a", "serve": "in"}, {"region-data", "serve"}),
        ({"regions": "us,eu", "region_data": "us=/a,eu=/a"}, {"region-data"}),
        ({"region_data": "us"}, {"region-data"}),
        ({"global_data": "https://a.test"}, {"global-data"}),
        ({"serve": "us", "global_data": "http://a.test"}, {"global-data"}),
        ({"serve": "us", "global_data": "https://a.test/path"}, {"global-data"}),
        ({"serve": "global", "admin_port": "8001"}, {"admin-port"}),
        ({"serve": "us", "global_data": "https://a.test", "admin_port": "8001"}, {"admin-port"}),
    ],
)
def test_what_does_not_fit_is_told_at_once(options: dict[str, str], wrong: set[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        layout(**options)
    assert {mistake.name for mistake in caught.value.mistakes} == wrong
