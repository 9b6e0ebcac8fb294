"""What people type into the address: whatever it is, a page comes, never a failure."""

from __future__ import annotations

import pytest
from tests.unit.web.console.conftest import Browser, Rig

from twinplane.control import Actor
from twinplane.web.console.forms import read_index

ACTOR = Actor("user", "tester", "tester")
NO_NUMBERS = ("²", "٣x", "-1", "1.5", "0x1", "99999999999999999999999", "")


def test_only_ascii_digits_of_a_bounded_length_are_an_index() -> None:
    assert (read_index("0"), read_index("007"), read_index("9" * 15)) == (0, 7, 10**15 - 1)
    assert [text for text in (*NO_NUMBERS, "٣", "9" * 16) if read_index(text) is not None] == []


@pytest.mark.parametrize("typed", [*NO_NUMBERS, "0", "1"])
async def test_a_page_of_control_planes_that_is_no_number_is_the_first(signed_in: Browser, typed: str) -> None:
    answer = await signed_in.get("/us/control-planes", params={"page": typed})
    assert answer.status_code == 200
    assert ">default<" in answer.text


@pytest.mark.parametrize("typed", ["2", "999999999999999"])
async def test_a_page_beyond_the_last_leads_to_the_first(signed_in: Browser, typed: str) -> None:
    answer = await signed_in.get("/us/control-planes", params={"page": typed, "q": "def"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/us/control-planes?q=def"
    assert (await signed_in.get("/us/control-planes", params={"q": "no such"})).status_code == 200


@pytest.mark.parametrize("typed", ["²", "1.²", "².1", f"{'9' * 23}.1", f"1.{'9' * 23}", "1", "."])
async def test_a_place_in_the_changes_that_is_none_is_the_newest(rig: Rig, signed_in: Browser, typed: str) -> None:
    scope = rig.control.control_planes.default(rig.control.organizations.first().id, "us").scope
    rig.control.changes.create(scope, ACTOR, "services", {"name": "the-one", "host": "a.example"})
    answer = await signed_in.get(f"{rig.plane_path}/changes", params={"before": typed})
    assert answer.status_code == 200
    assert "the-one" in answer.text


@pytest.mark.parametrize("typed", ["since-²", f"since-{'9' * 23}", "since-1"])
async def test_a_certificate_that_is_none_is_only_waited_for(rig: Rig, signed_in: Browser, typed: str) -> None:
    scope = rig.control.control_planes.default(rig.control.organizations.first().id, "us").scope
    assert scope.control_plane_id in rig.plane_path
    assert (await signed_in.get(f"{rig.plane_path}/nodes/new/{typed}/waiting")).status_code == 200
