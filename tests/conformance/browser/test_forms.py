"""Forms as people send them: twice, over what somebody else changed, after the session ended. Nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.conformance.browser.watched import Watched
from tests.integration.installation import Client, Installation, installation
from tools.screenshots.browser import new_context, sign_in


@dataclass
class Place:
    """An installation, and one person's browser that is signed in there."""

    up: Installation
    context: BrowserContext
    tabs: list[Watched] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"https://localhost:{self.up.ports['port']}"

    @property
    def base(self) -> str:
        return f"{self.address}/us/control-planes/{self.up.control_plane_id()}"

    @property
    def admin(self) -> Client:
        return self.up.admin

    def page(self, path: str) -> Page:
        """A new tab."""
        page = self.tab()
        page.goto(self.base + path)
        return page

    def tab(self) -> Page:
        """An empty tab whose faults are written down."""
        watched = Watched.new(self.context)
        self.tabs.append(watched)
        return watched.page

    def names(self, collection: str) -> list[str]:
        """What there is."""
        return [row["name"] for row in self.admin("GET", f"/{collection}?size=1000").json()["data"]]


@pytest.fixture(scope="module")
def place(chrome: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with installation(tmp_path_factory.mktemp("forms")) as up, new_context(chrome) as context:
        found = Place(up, context)
        sign_in(found.tab(), found)  # type: ignore[arg-type]
        yield found


@pytest.fixture(autouse=True)
def tabs(place: Place) -> Iterator[None]:
    """Tabs end with their test, none of them with a fault; who signed out is signed in again."""
    yield
    faults = [fault for tab in place.tabs for fault in tab.take()]
    del place.tabs[1:]
    for page in place.context.pages[1:]:
        page.close()
    first = place.context.pages[0]
    first.goto(place.address)
    if "/sign-in" in first.url:
        sign_in(first, place)  # type: ignore[arg-type]
    assert faults == []


_SEND = """async ([path, fields]) =>
  (await fetch(path, { method: "POST", body: new URLSearchParams(fields) })).url"""


def _fill_service(page: Page, name: str) -> None:
    page.get_by_label("name", exact=False).first.fill(name)
    page.locator("[name='v.host']").fill("orders.internal")


def test_a_double_click_and_a_second_sending_make_one(place: Place) -> None:
    page = place.page("/entities/services/new")
    _fill_service(page, "twice")
    page.get_by_role("button", name="Create").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("twice")
    assert place.names("services").count("twice") == 1
    page.go_back()
    _fill_service(page, "twice")
    page.get_by_role("button", name="Create").click()
    expect(page.locator(".problem").first).to_be_visible()
    expect(page.locator("[name='v.host']")).to_have_value("orders.internal")
    assert place.names("services").count("twice") == 1
    # The very same form, as one without scripts sends it twice: it makes nothing new.
    form = page.evaluate("[...new FormData(document.querySelector('form.card'))]")
    sent = [[name, "thrice" if name == "v.name" else value] for name, value in form]
    for _ in range(2):
        answer = page.evaluate(_SEND, [page.url.partition("?")[0], sent])
        assert answer.endswith(("created", "unchanged")), answer
    assert place.names("services").count("thrice") == 1


def test_a_control_plane_is_made_once(place: Place) -> None:
    page = place.tab()
    page.goto(f"{place.address}/us/control-planes/new")
    page.get_by_label("Name").fill("made-once")
    page.get_by_label("Description").fill("A text that takes a while to write.")
    page.get_by_role("button", name="Create").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("made-once")
    page.go_back()
    page.get_by_label("Name").fill("made-once")
    page.get_by_label("Description").fill("A text that takes a while to write.")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("has this name")).to_be_visible()
    expect(page.get_by_label("Description")).to_have_value("A text that takes a while to write.")
    found = place.up.api("GET", "/v2/control-planes?filter[name][eq]=made-once").json()["data"]
    assert len(found) == 1


def test_over_what_somebody_else_changed_nothing_is_lost(place: Place) -> None:
    made = place.admin("POST", "/services", {"name": "shared", "host": "a.internal"}).json()
    path = f"/entities/services/{made['id']}/edit"
    first, second = place.page(path), place.page(path)
    first.locator("[name='v.host']").fill("b.internal")
    first.get_by_role("button", name="Save").last.click()
    expect(first.get_by_text("Saved.")).to_be_visible()
    second.locator("[name='v.host']").fill("c.internal")
    second.locator("[name='v.tags']").fill("mine")
    second.get_by_role("button", name="Save").last.click()
    expect(second.get_by_text("Somebody changed this while you were editing")).to_be_visible()
    expect(second.locator("[name='v.host']")).to_have_value("c.internal")
    assert place.admin("GET", "/services/shared").json()["host"] == "b.internal"
    second.get_by_role("button", name="Save").last.click()
    expect(second.get_by_text("Saved.")).to_be_visible()
    row = place.admin("GET", "/services/shared").json()
    assert (row["host"], row["tags"]) == ("c.internal", ["mine"])


def test_over_what_somebody_else_deleted_it_can_be_made_again(place: Place) -> None:
    made = place.admin("POST", "/services", {"name": "gone", "host": "a.internal"}).json()
    page = place.page(f"/entities/services/{made['id']}/edit")
    place.admin("DELETE", "/services/gone")
    page.locator("[name='v.host']").fill("typed.internal")
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_role("alert")).to_contain_text("deleted this while you were editing")
    expect(page.locator("[name='v.host']")).to_have_value("typed.internal")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("gone")
    row = place.admin("GET", "/services/gone").json()
    assert (row["id"], row["host"]) == (made["id"], "typed.internal")


def _sign_out_elsewhere(place: Place) -> None:
    other = place.page("")
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("heading", level=1)).to_have_text("Sign in")


def _sign_in_again(place: Place, page: Page) -> None:
    expect(page.get_by_role("alert")).to_contain_text("what you typed is kept")
    page.get_by_label("Access token").fill(place.up.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Go on where you were")
    page.get_by_role("button", name="Send it now").click()


def test_a_new_entity_survives_the_end_of_the_session(place: Place) -> None:
    page = place.page("/entities/services/new")
    _fill_service(page, "survivor")
    page.locator("[name='v.tags']").fill('first line\nsecond <line> & "more"')
    _sign_out_elsewhere(place)
    page.get_by_role("button", name="Create").click()
    # A token that is mistyped meanwhile loses nothing either.
    page.get_by_label("Access token").fill("kpat_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known")
    page.get_by_label("Access token").fill(place.up.token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Send it now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("survivor")
    row = place.admin("GET", "/services/survivor").json()
    assert row["tags"] == ["first line", 'second <line> & "more"']


def test_an_edit_and_settings_survive_the_end_of_the_session(place: Place) -> None:
    made = place.admin("POST", "/services", {"name": "edited", "host": "a.internal"}).json()
    page = place.page(f"/entities/services/{made['id']}/edit")
    page.locator("[name='v.host']").fill("edited.internal")
    settings = place.page("/settings")
    settings.get_by_label("Description").fill("Written while signed out.")
    _sign_out_elsewhere(place)
    page.get_by_role("button", name="Save").last.click()
    _sign_in_again(place, page)
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert place.admin("GET", "/services/edited").json()["host"] == "edited.internal"
    # The other tab's form is of the session that ended, though the browser is signed in again.
    settings.get_by_role("button", name="Save").click()
    _sign_in_again(place, settings)
    expect(settings.get_by_label("Description")).to_have_value("Written while signed out.")
    expect(settings.get_by_text("Saved.")).to_be_visible()
