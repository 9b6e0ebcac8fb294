"""Script in whatever a page shows is text: nothing of it runs, and all of it is there to be read.

`payloads.txt` holds one attempt a line, of the classes that are publicly known; its head names them, and where longer
lists are published. Each would call `alert`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.certificates import Leaf
from tests.conformance.browser.watched import Watched
from tests.control_room import Platform, open_platform
from tests.integration.installation import Installation, eventually, installation
from tools.screenshots.browser import new_context, sign_in, until_whole

from twinplane.control import Actor, NodeHello, NodeIssue, NodePing, NodeReport

_LINES = (Path(__file__).parent / "payloads.txt").read_text(encoding="utf-8").splitlines()
PAYLOADS = [line for line in _LINES if not line.startswith("# ")]
SOME = PAYLOADS[::7]
NAME = "<img src=x onerror=alert(1)>"
_RAN = "window.alert = () => { window.hasRun = true; };"
_FOREIGN = """() => {
  const leads = (one) => ["href", "src", "action"].some((name) =>
    /^\\s*(javascript|vbscript|data):(?!image)/i.test(one.getAttribute(name) ?? ""));
  const acts = (one) => one.getAttributeNames().some((name) => name.startsWith("on"));
  const is = "iframe, object, embed, base, script, style, meta, img, video, audio, math";
  return [...document.querySelectorAll("main *")].filter((one) => leads(one) || acts(one) || one.matches(is))
    .map((one) => one.outerHTML.slice(0, 160));
}"""
"""Elements, handlers and addresses that no page of the console has: had any come to be, a payload made it."""


@dataclass
class Planted:
    """An installation that is full of script."""

    up: Installation
    base: str = ""
    consumer: str = ""
    service: str = ""

    @property
    def address(self) -> str:
        return f"https://localhost:{self.up.ports['port']}"


def _plant(platform: Platform, planted: Planted) -> None:
    control, plane = platform.control, platform.default
    actor = Actor("user", "u", NAME)
    planted.base = f"/us/control-planes/{plane.id}"

    def make(collection: str, **body: object) -> dict[str, str]:
        made = control.changes.create(plane.scope, actor, collection, body)
        return {"id": str(made["id"])}

    service = make("services", name="s", host="h.invalid", tags=[NAME, "<svg onload=alert(1)>"])
    planted.service = service["id"]
    for place, text in enumerate(PAYLOADS):
        organization = platform.principal.organization_id
        control.control_planes.create(organization, "us", actor, {"name": text, "description": text})
        consumer = make("consumers", username=text, custom_id=f"{text} {place}", tags=[_tag(text)])
        planted.consumer = planted.consumer or consumer["id"]
        make("acls", group=text, consumer=consumer)
        make("keyauth_credentials", key=f"{place}{text}", consumer=consumer)
        make("routes", name=f"r{place}", paths=[f"/p{place}"], headers={"x-a": [text]}, service=service)
        message = {"message": text}
        make("plugins", name="request-termination", consumer=consumer, config=message, instance_name=f"i{place}")
        make("vaults", name="env", prefix=f"v{place}", description=text)
        leaf = Leaf.self_signed(text[:64])
        control.certificates.create(plane.scope, actor, leaf.certificate, title=text)
        make("certificates", cert=leaf.certificate, key=leaf.key, tags=[_tag(text)])
        _node(platform, place, text)


def _tag(text: str) -> str:
    """Tags hold neither commas nor slashes."""
    return text.replace(",", "").replace("/", "")


def _node(platform: Platform, place: int, text: str) -> None:
    scope, one = platform.default.scope, f"00000000-0000-4000-8000-{place:012d}"
    issue = NodeIssue("P", "warning", text, text, text, [{"id": text, "type": text}])
    hello = NodeHello(one, text, text, text, labels={"zone": text})
    ping = NodePing(text[:32], 1, text)
    platform.control.nodes.record_reports([NodeReport(scope, one, hello=hello, ping=ping, issues=[issue])])


@pytest.fixture(scope="module")
def planted(chrome: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    directory = tmp_path_factory.mktemp("planted")
    data = directory / "data"
    data.mkdir(mode=0o700)
    found = Planted(up=None)  # type: ignore[arg-type]
    with open_platform(data) as platform:
        _plant(platform, found)
        (data / "admin.token").write_text(platform.token)
        (data / "admin.token").chmod(0o600)
    with installation(directory) as up:
        found.up = up
        for text in PAYLOADS:
            _ask(up.ports["proxy_port"], text)
        eventually(lambda: len(up.requests()) >= len(PAYLOADS), seconds=60)
        yield found


def _ask(port: int, text: str) -> None:
    """A request whose path, host and headers hold the text, as raw as a request line may be."""
    path = "/" + "".join(letter if " " < letter < "\x7f" and letter not in "?#" else quote(letter) for letter in text)
    agent = text.encode("utf-8")
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nUser-Agent: ".encode() + agent
    with socket.create_connection(("127.0.0.1", port), 20) as peer:
        peer.sendall(head + b"\r\n\r\n")
        while peer.recv(65_536):
            pass


@pytest.fixture(scope="module")
def watched(chrome: Browser, planted: Planted) -> Iterator[Watched]:
    with new_context(chrome) as context:
        found = Watched.new(context)
        found.page.add_init_script(_RAN)
        found.page.on("dialog", lambda dialog: (found.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        sign_in(found.page, planted)  # type: ignore[arg-type]
        yield found


def _open(watched: Watched, address: str) -> Page:
    page = watched.page
    page.goto(address)
    until_whole(page)
    return page


def _assert_nothing_ran(watched: Watched) -> None:
    page = watched.page
    # What is only run when it is met: everything is pointed at, focused and opened.
    page.evaluate(
        """() => { for (const one of document.querySelectorAll("main *")) {
          one.dispatchEvent(new MouseEvent("mouseover", { bubbles: true })); one.focus?.();
          if (one instanceof HTMLDetailsElement) one.open = true; } }"""
    )
    until_whole(page)
    assert page.evaluate("window.hasRun") is None, page.url
    assert watched.take() == [], page.url
    assert page.evaluate(_FOREIGN) == [], page.url


def test_the_marker_is_seen_where_script_runs(chrome: Browser) -> None:
    with new_context(chrome) as context:
        page = context.new_page()
        page.add_init_script(_RAN)
        page.goto("data:text/html,<img src=x onerror=alert(1)>")
        page.wait_for_function("window.hasRun === true")


def test_the_list_is_long_and_has_no_line_twice() -> None:
    assert len(PAYLOADS) == len(set(PAYLOADS)) >= 60
    assert all("lert" in text or "{%" in text for text in PAYLOADS)


def _shown(watched: Watched, first: str, selector: str) -> set[str]:
    """The texts of a list, through all its pages."""
    page, found = _open(watched, first), set()
    while True:
        found |= set(page.locator(selector).all_text_contents())
        _assert_nothing_ran(watched)
        onward = page.get_by_role("link", name="Next", exact=False).or_(page.get_by_role("link", name="Older changes"))
        if onward.count() == 0:
            return found
        onward.first.click()
        until_whole(page)


@pytest.mark.parametrize(
    ("path", "selector"),
    [
        ("/us/control-planes", "td.name a"),
        ("{base}/entities/consumers", "td.name a"),
        ("{base}/entities/acls", "td.name a"),
        ("{base}/entities/vaults", "tbody td"),
        ("{base}/nodes", "td.name a"),
        ("{base}/changes", "ins"),
    ],
)
def test_lists_show_it_as_it_is(watched: Watched, planted: Planted, path: str, selector: str) -> None:
    shown = "\n".join(_shown(watched, planted.address + path.format(base=planted.base), selector))
    assert [text for text in PAYLOADS if text.strip() not in shown] == []


def test_tags_certificates_and_plugins_show_it_as_text(watched: Watched, planted: Planted) -> None:
    for path in ("entities/certificates", "entities/plugins", "entities/routes", "entities/keyauth_credentials"):
        _shown(watched, f"{planted.address}{planted.base}/{path}", "td")
    titles = " ".join(_shown(watched, f"{planted.address}{planted.base}/node-certificates", "td.name"))
    assert [text for text in PAYLOADS if text.strip() not in titles] == []


def test_one_consumer_one_service_and_its_texts(watched: Watched, planted: Planted) -> None:
    for row in (f"consumers/{planted.consumer}", f"services/{planted.service}"):
        for more in ("", "/edit", "/delete", "?as=decK", "?as=JSON", "?as=curl", "?as=Terraform"):
            _open(watched, f"{planted.address}{planted.base}/entities/{row}{more}")
            _assert_nothing_ran(watched)


def test_traffic_shows_the_paths_that_were_asked_for(watched: Watched, planted: Planted) -> None:
    _open(watched, f"{planted.address}{planted.base}/traffic")
    _assert_nothing_ran(watched)
    for row in planted.up.requests()[::7]:
        page = _open(watched, f"{planted.address}{planted.base}/traffic/requests/{row['request_id']}")
        expect(page.get_by_role("heading", level=1)).to_contain_text(str(row["request_uri"])[:60])
        _assert_nothing_ran(watched)


@pytest.mark.parametrize("place", range(len(SOME)))
def test_what_comes_with_an_address_is_text(watched: Watched, planted: Planted, place: int) -> None:
    text = quote(SOME[place], safe="")
    entities = f"{planted.base}/entities"
    for path in (
        f"{entities}/consumers?q={text}&tags={text}&offset={text}",
        f"{entities}/plugins/new?q={text}",
        f"{entities}/plugins/new?plugin=cors&service={text}",
        f"{planted.base}/traffic?service={text}&range={text}",
        f"{planted.base}/changes?entity={text}&before={text}",
        f"/us/control-planes?q={text}&said={text}",
        f"/sign-in?next={text}",
    ):
        _open(watched, planted.address + path)
        _assert_nothing_ran(watched)


def test_a_form_that_is_refused_shows_it_again_as_it_was(watched: Watched, planted: Planted) -> None:
    for text in SOME:
        page = _open(watched, f"{planted.address}{planted.base}/entities/services/new")
        for label in ("name", "host", "path", "tags"):
            page.get_by_label(label, exact=False).first.fill(text)
        page.get_by_role("button", name="Create").click()
        expect(page.get_by_role("alert").first).to_be_visible()
        expect(page.locator("[name='v.name']")).to_have_value(text)
        _assert_nothing_ran(watched)
