"""Every page in a real browser: whole, without a fault, for everybody, in light, in dark and on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.conformance.browser.watched import Axe, Watched
from tests.integration.installation import eventually
from tools.screenshots.browser import new_context, open_view, sign_in
from tools.screenshots.seed import Seeded, issues
from tools.screenshots.views import View, every_plugin, views

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 800}
PARTS = 4


@pytest.fixture(scope="module")
def watched(chrome: Browser, shop: Seeded) -> Iterator[dict[bool, Watched]]:
    """A page of somebody signed in (True), and one of a stranger."""
    with (
        new_context(chrome, viewport=DESK, color_scheme="light") as person,
        new_context(chrome, viewport=DESK, color_scheme="light") as stranger,
    ):
        pages = {True: Watched.new(person), False: Watched.new(stranger)}
        sign_in(pages[True].page, shop)
        yield pages


def _look(one: Watched, view: View, shop: Seeded, axe: Axe) -> list[str]:
    page = one.page
    open_view(page, view, shop)
    expect(page.get_by_role("heading", level=1).first).to_be_visible()
    faults = [f"{page.get_by_role('heading', level=1).count()} main headings"]
    faults = [] if faults == ["1 main headings"] or view.name == "components" else faults
    if view.is_alike:
        return faults + one.take()
    axe.load(page)
    faults += axe.faults(page)
    page.emulate_media(color_scheme="dark")
    faults += [f"dark: {fault}" for fault in axe.faults(page, "color-contrast")]
    page.emulate_media(color_scheme="light")
    faults += _on_a_phone(page)
    return faults + one.take()


def _on_a_phone(page: Page) -> list[str]:
    page.set_viewport_size(PHONE)
    width, beyond = page.evaluate(
        """() => [document.documentElement.scrollWidth, [...document.querySelectorAll("body *")]
          .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
          .map((one) => `${one.tagName.toLowerCase()}.${one.className}`).slice(0, 20)]"""
    )
    page.set_viewport_size(DESK)
    return [f"{width} wide on a phone: {' '.join(beyond)}"] if width > PHONE["width"] else []


def test_the_engine_sees_faults_of_accessibility(chrome: Browser, axe: Axe) -> None:
    if axe.missing:
        pytest.skip(f"the pages are walked without it: {axe.missing}")
    with new_context(chrome) as context:
        page = context.new_page()
        page.set_content('<html lang="en"><title>One</title><main><h1>One</h1><img src="data:,"></main></html>')
        axe.load(page)
        assert [fault.partition(":")[0] for fault in axe.faults(page)] == ["axe image-alt"]


def test_nothing_moves_for_those_who_asked_for_that(watched: dict[bool, Watched], shop: Seeded) -> None:
    page = watched[True].page
    open_view(page, next(view for view in views() if view.name == "overview-empty"), shop)
    page.emulate_media(color_scheme="dark")
    # A transition, however short, would show text in the colour of one scheme on the ground of the other.
    moving = page.evaluate("getComputedStyle(document.body).color && document.getAnimations().length")
    page.emulate_media(color_scheme="light")
    assert moving == 0


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_is_whole_and_for_everybody(watched: dict[bool, Watched], shop: Seeded, axe: Axe, part: int) -> None:
    faults: list[str] = []
    for view in list(views())[part::PARTS]:
        one = watched[view.is_signed_in]
        cookies = one.page.context.cookies()
        faults += [f"{view.name}: {fault}" for fault in _look(one, view, shop, axe)]
        # A view may have taken the session away.
        one.page.context.add_cookies(cookies)  # type: ignore[arg-type]
    assert not faults, "\n".join(faults)


def test_the_form_of_every_plugin_is_whole(watched: dict[bool, Watched], shop: Seeded) -> None:
    one = watched[True]
    for view in every_plugin():
        open_view(one.page, view, shop)
        expect(one.page.get_by_role("button", name="Create")).to_be_visible()
        assert one.take() == [], view.name


@pytest.mark.parametrize(
    "name", ["control-planes", "overview", "node-new-linux", "services", "routes-new", "plugins-gallery", "traffic-day"]
)
def test_everything_is_reached_by_the_keyboard(watched: dict[bool, Watched], shop: Seeded, name: str) -> None:
    page = watched[True].page
    open_view(page, next(view for view in views() if view.name == name), shop)
    # A part that is replaced would bring links that nobody marked as wanted, and take those that are.
    page.evaluate("document.querySelectorAll('live-part').forEach((one) => one.replaceWith(...one.childNodes))")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    wanted = page.evaluate(_MARK_REACHABLE)
    # Live parts may bring more links meanwhile.
    for _ in range(wanted * 2 + 20):
        seen = page.evaluate(_NOTE_FOCUS)
        assert seen["is_body"] or seen["is_marked_visibly"], f"no sign of focus: {seen['html']}"
        if seen["left"] == 0:
            break
        page.keyboard.press("Tab")
    assert page.evaluate("document.querySelectorAll('[data-wanted]').length") == 0, page.evaluate(
        "[...document.querySelectorAll('[data-wanted]')].map((one) => one.outerHTML.slice(0, 120))"
    )


_MARK_REACHABLE = """() => {
  const all = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
  const found = [...document.querySelectorAll(all)].filter((one) => one.tabIndex >= 0 && !one.disabled
    && one.checkVisibility({ visibilityProperty: true }));
  found.forEach((one) => { one.dataset.wanted = ""; });
  return found.length;
}"""
_NOTE_FOCUS = """() => {
  const one = document.activeElement;
  delete one.dataset.wanted;
  const style = getComputedStyle(one);
  return {
    is_body: one === document.body,
    is_marked_visibly: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1,
    html: one.outerHTML.slice(0, 160),
    left: document.querySelectorAll("[data-wanted]").length,
  };
}"""


def test_the_skip_link_leads_past_the_menu(watched: dict[bool, Watched], shop: Seeded) -> None:
    page = watched[True].page
    open_view(page, next(view for view in views() if view.name == "services"), shop)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_a_live_part_keeps_the_keyboard_and_what_was_opened(watched: dict[bool, Watched], shop: Seeded) -> None:
    page = watched[True].page
    open_view(page, next(view for view in views() if view.name == "traffic"), shop)
    page.locator("live-part summary").first.click()
    link = page.locator("live-part a", has_text="orders").first
    link.focus()
    page.evaluate(
        "window.changes = 0; addEventListener('part-changed', () => { window.changes += 1; })",
    )
    # The policy of the page keeps the browser from waiting by itself.
    eventually(lambda: page.evaluate("window.changes >= 2"), seconds=60)
    assert page.locator("live-part details").first.get_attribute("open") is not None
    expect(page.locator("live-part a", has_text="orders").first).to_be_focused()


@pytest.mark.parametrize("broken", ["eventsource", "fetch"])
def test_a_live_part_says_that_it_is_not_current_and_recovers(
    watched: dict[bool, Watched], shop: Seeded, broken: str
) -> None:
    """Its stream, or the answers with its new content, are refused for a while."""
    page = watched[True].page
    live, notice = page.locator("live-part"), page.locator("live-part > .not-current")
    refused = []

    def refuse(route: Route) -> None:
        if route.request.resource_type != broken:
            route.continue_()
            return
        refused.append(route.request.url)
        route.fulfill(status=503, content_type="text/html", body="<h1>Too many</h1>")

    page.route("**/nodes**", refuse)
    try:
        open_view(page, View("nodes", "{main}/nodes"), shop)
        expect(live).to_have_attribute("not-current", "")
        expect(notice).to_have_text(re.compile(r"^Not current since \d\d:\d\d:\d\d$"))
        expect(notice).to_have_role("status")
        eventually(lambda: page.evaluate("1") and len(refused) >= 2, seconds=60)
        expect(notice).to_have_count(1)
    finally:
        page.unroute("**/nodes**")
    expect(notice).to_have_count(0)
    expect(live).not_to_have_attribute("not-current", "")
    expect(live.locator("td.name a").first).to_be_visible()
    expect(live).not_to_have_attribute("aria-live", "polite")
    watched[True].take()


def test_a_live_part_asks_once_at_a_time_and_not_too_often(watched: dict[bool, Watched], shop: Seeded) -> None:
    page = watched[True].page
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.resource_type == "fetch":
            held.append(route)
        else:
            route.continue_()

    page.route("**/nodes**", hold)
    try:
        open_view(page, View("nodes", "{main}/nodes"), shop)
        eventually(lambda: page.evaluate("1") and held, seconds=60)
        # From here on only the test says that something changed.
        page.evaluate(
            """() => { const { source } = document.querySelector("live-part"); source.close();
              window.changes = 0; addEventListener("part-changed", () => { window.changes += 1; });
              for (let i = 0; i < 20; i += 1) source.dispatchEvent(new Event("changed")); }"""
        )
        assert len(held) == 1
        held[0].continue_()
        eventually(lambda: page.evaluate("1") and len(held) > 1, seconds=60)
        held[1].continue_()
        eventually(lambda: page.evaluate("window.changes") == 2, seconds=60)
        page.evaluate("new Promise((resolve) => { setTimeout(resolve, 2500); })")
        assert len(held) == 2, "twenty changes are one answer more"
        began = page.evaluate(
            """() => performance.getEntriesByType("resource")
              .filter((one) => one.initiatorType === "fetch").map((one) => one.startTime)"""
        )
        assert began[1] - began[0] >= 1900
    finally:
        page.unroute("**/nodes**")
    watched[True].take()


def test_the_menu_of_a_phone_opens_and_leads_on(watched: dict[bool, Watched], shop: Seeded) -> None:
    page = watched[True].page
    page.set_viewport_size(PHONE)
    try:
        open_view(page, next(view for view in views() if view.name == "overview"), shop)
        link = page.locator("#menu").get_by_text("Services", exact=True)
        expect(link).to_be_hidden()
        page.get_by_role("button", name="Menu").focus()
        page.keyboard.press("Enter")
        link.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Services")
    finally:
        page.set_viewport_size(DESK)


def test_an_older_node_says_what_it_cannot_do_and_how_that_is_mended(
    watched: dict[bool, Watched], shop: Seeded
) -> None:
    page = watched[True].page
    open_view(page, View("overview", "{main}"), shop)
    expect(page.locator(".notice").filter(has_text="issue").filter(has_text="edge-eu-2").first).to_be_visible()
    open_view(page, View("nodes", "{main}/nodes"), shop)
    row = page.locator("tr").filter(has_text="edge-eu-2")
    expect(row).to_contain_text("1 issue")
    row.get_by_role("link", name="edge-eu-2").click()
    issue = page.locator(".notice").filter(has_text="is not known before 3.7")
    expect(issue).to_contain_text("Upgrade the node, or take it out of the configuration.")
    issue.get_by_role("link", name=re.compile("plugin")).click()
    path = f"/plugins/{page.url.rpartition('/')[2]}"
    try:
        page.get_by_role("link", name="Edit").click()
        page.locator("[name='v.config.realm']").fill("")
        page.get_by_role("button", name="Save").last.click()
        expect(page.get_by_text("Saved.")).to_be_visible()
        open_view(page, View("nodes", "{main}/nodes"), shop)
        # The list is not touched: it becomes current by itself.
        expect(row).to_contain_text("none")
    finally:
        shop.up.admin("PATCH", path, {"config": {"realm": "payments"}})
        eventually(lambda: issues(shop), seconds=60)
    assert watched[True].take() == []
