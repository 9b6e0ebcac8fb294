"""`make guide-pictures`: does what the guides tell, step by step, and takes their pictures on the way.

`docs/guides/first-request.md` is followed from an empty control plane to its first protected request. Other pictures
are of a demo, best of one that has run for an hour (`--demo DIR` is its data directory).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tests.integration.installation import Installation, eventually, free_ports, installation, run_twinplane

from tools.screenshots.browser import MISSING, browser, chromium, new_context, until_whole

ROOT = Path(__file__).resolve().parents[2]
SIZE = {"width": 1360, "height": 850}
BYTES_MAX = 120_000
BOOKSHOP_PORT = 9100
BOOKSHOP = ROOT / "examples/bookshop/upstream.py"
READY_SECONDS = 60.0
_COLOURS = (256, 128, 64, 32)


def main() -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="make guide-pictures", description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("docs/images"), metavar="directory")
    parser.add_argument("--demo", type=Path, metavar="directory", help="data directory of a demo that ran before")
    parser.add_argument("--minutes", type=float, default=3, help="how long the demo runs before its pictures")
    arguments = parser.parse_args()
    if chromium() is None:
        print(MISSING, file=sys.stderr)
        return 1
    arguments.to.mkdir(parents=True, exist_ok=True)
    with browser() as opened:
        seconds = FirstRequest(opened, arguments.to, shop_port=BOOKSHOP_PORT).follow()
        print(f"first request: {seconds:.0f} s from the sign-in to the Traffic page")
        _tour(opened, arguments.to, arguments.demo, arguments.minutes * 60)
    return 0


class FirstRequest:
    """The journey of the guide, by the pages, one command and two requests."""

    def __init__(self, opened: Browser, to: Path, *, shop_port: int = 0) -> None:
        self._opened = opened
        self._to = to
        self._shop_port = shop_port
        self._proxy, self._proxy_tls, self._status = free_ports(3)

    def follow(self) -> float:
        """Walk it. Returns how long it took, in seconds."""
        with (
            tempfile.TemporaryDirectory() as directory,
            _bookshop(self._shop_port) as shop,
            _control_plane(Path(directory)) as port,
        ):
            token = (Path(directory) / "data/admin.token").read_text().strip()
            with new_context(self._opened, viewport=SIZE, color_scheme="light") as person:
                page = person.new_page()
                began = time.monotonic()
                _sign_in(page, f"https://localhost:{port}", token)
                page.get_by_role("link", name="default").first.click()
                self._take(page, "first-overview")
                with self._node(page, Path(directory)):
                    self._protect(page, shop)
                    self._ask()
                    self._see(page)
                    took = time.monotonic() - began
                    self._take(page, "first-traffic")
        return took

    @contextlib.contextmanager
    def _node(self, page: Page, directory: Path) -> Iterator[None]:
        """A node, made by the page and started with what it says."""
        page.get_by_role("link", name="New data plane node").first.click()
        page.get_by_label("Title of the certificate").fill("laptop")
        page.get_by_role("button", name="Make a certificate").click()
        place = page.locator("details.place", has=page.get_by_text("Linux", exact=True)).first
        texts = place.locator("pre").all_inner_texts()
        # One shell, as a person has it: the second text goes on in the directory of the first.
        subprocess.run(["sh", "-c", texts[0]], cwd=directory, check=True)
        assert texts[1].strip() == "twinplane data-plane -c kong.conf", texts[1]
        listen = f"127.0.0.1:{self._proxy}, 127.0.0.1:{self._proxy_tls} http2 ssl"
        here = {
            "KONG_PROXY_LISTEN": listen,
            "KONG_STATUS_LISTEN": f"127.0.0.1:{self._status}",
            "PYTHONPATH": str(ROOT / "python"),
        }
        place_of_node = ("env", "-C", str(directory / "node"))
        node = run_twinplane("data-plane", "-c", "kong.conf", environ=here, before=place_of_node)
        try:
            green = page.get_by_text("is connected, and in sync")
            expect(green).to_be_visible()
            green.scroll_into_view_if_needed()
            self._take(page, "first-node")
            yield
        finally:
            _end(node)

    def _protect(self, page: Page, shop: int) -> None:
        page.get_by_role("link", name="make a service").click()
        _fill(page, name="books", url=f"http://127.0.0.1:{shop}/books")
        self._take(page, "first-service")
        _create(page, "books")
        service = page.url
        _add(page, "Routes")
        _fill(page, name="books", paths="/books")
        _create(page, "books")
        page.goto(service)
        _add(page, "Plugins")
        self._take(page, "first-plugins")
        page.get_by_role("link", name="key-auth").click()
        page.get_by_role("button", name="Create", exact=True).click()
        expect(page.get_by_role("status").first).to_be_visible()
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Consumers").click()
        page.get_by_role("link", name="New consumer").first.click()
        _fill(page, username="reader")
        _create(page, "reader")
        _add(page, "API keys")
        _fill(page, key="first-key")
        page.get_by_role("button", name="Create", exact=True).click()
        expect(page.get_by_role("status").first).to_be_visible()

    def _ask(self) -> None:
        address = f"http://127.0.0.1:{self._proxy}/books"
        for key, status in (("", 401), ("first-key", 200)):
            eventually(lambda key=key, status=status: _status(address, key) == status, seconds=READY_SECONDS)

    def _see(self, page: Page) -> None:
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Traffic").click()
        expect(page.get_by_role("cell", name="401").first).to_be_visible()
        expect(page.get_by_role("cell", name="200").first).to_be_visible()
        page.get_by_role("link", name="15 minutes").click()

    def _take(self, page: Page, name: str) -> None:
        until_whole(page)
        save(page.screenshot(), self._to / f"{name}.png")


def _tour(opened: Browser, to: Path, demo: Path | None, seconds: float) -> None:
    """The pictures of docs/guides/console.md, over a demo."""
    with contextlib.ExitStack() as stack:
        directory = demo.absolute().parent if demo else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        up = stack.enter_context(installation(directory, "--demo"))
        began = time.monotonic()
        _change_something(up)
        eventually(lambda: len(up.requests()) > 100, seconds=READY_SECONDS)
        eventually(lambda: time.monotonic() - began > seconds, seconds=seconds + 1, every=1)
        for scheme, ending in (("light", ""), ("dark", "-dark")):
            with new_context(opened, viewport=SIZE, color_scheme=scheme) as person:
                page = person.new_page()
                _sign_in(page, f"https://localhost:{up.ports['port']}", up.token)
                for name, path in _places(up):
                    if ending and name not in _IN_DARK:
                        continue
                    page.goto(f"https://localhost:{up.ports['port']}{path}")
                    until_whole(page)
                    save(page.screenshot(), to / f"{name}{ending}.png")


_IN_DARK = ("console", "console-traffic")


def _places(up: Installation) -> Iterator[tuple[str, str]]:
    base = f"/us/control-planes/{up.control_plane_id()}"
    core = f"/v2/control-planes/{up.control_plane_id()}/core-entities"
    orders = up.api("GET", f"{core}/services/orders").json()["id"]
    failed = eventually(lambda: [one for one in up.requests() if int(one["response_http_status"]) in (401, 429)])
    request = failed[0]["request_id"]
    yield "console", base
    yield "console-traffic", f"{base}/traffic"
    yield "console-request", f"{base}/traffic/requests/{request}"
    yield "console-nodes", f"{base}/nodes"
    yield "console-certificates", f"{base}/node-certificates"
    yield "console-service", f"{base}/entities/services/{orders}?as=decK"
    yield "console-changes", f"{base}/changes"


def _change_something(up: Installation) -> None:
    """What somebody might do in the morning."""
    core = f"/v2/control-planes/{up.control_plane_id()}/core-entities"
    for path, body in (
        ("/services/search", {"read_timeout": 4000 + int(time.time()) % 1000}),
        ("/services/payments", {"retries": 1, "tags": ["sales", "third-party", f"quarter-{int(time.time()) % 4 + 1}"]}),
    ):
        assert up.api("PATCH", core + path, body).status == 200


def save(picture: bytes, path: Path) -> None:
    """Write a picture with as many colours as fit. Raises ValueError where none do."""
    whole = Image.open(io.BytesIO(picture)).convert("RGB")
    for colours in _COLOURS:
        told = io.BytesIO()
        whole.quantize(colours, dither=Image.Dither.NONE).save(told, "PNG", optimize=True)
        if len(told.getvalue()) <= BYTES_MAX:
            path.write_bytes(told.getvalue())
            return
    raise ValueError(f"{path.name}: larger than {BYTES_MAX} bytes in {_COLOURS[-1]} colours")


def _sign_in(page: Page, address: str, token: str) -> None:
    page.goto(f"{address}/sign-in")
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Control planes")


def _fill(page: Page, **values: str) -> None:
    for name, value in values.items():
        field = page.locator(f"#v-{name}")
        if not field.is_visible():
            page.locator("details.more > summary").click()
        field.fill(value)


def _create(page: Page, name: str) -> None:
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def _add(page: Page, title: str) -> None:
    page.locator("section", has=page.get_by_role("heading", name=title, exact=True)).get_by_role(
        "link", name="Add"
    ).click()


@contextlib.contextmanager
def _control_plane(directory: Path) -> Iterator[int]:
    (port,) = free_ports(1)
    process = run_twinplane(
        "control-plane", "--data", str(directory / "data"), "--listen", "127.0.0.1", "--port", str(port)
    )
    try:
        eventually((directory / "data/admin.token").exists, seconds=READY_SECONDS)
        eventually(lambda: _is_open(port), seconds=READY_SECONDS)
        yield port
    finally:
        _end(process)


@contextlib.contextmanager
def _bookshop(port: int) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, str(BOOKSHOP), str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        if not said:
            raise OSError(f"the bookshop did not start on port {port}; what else listens there?")
        yield int(said.rsplit(":", 1)[1])
    finally:
        process.stdout.close()
        process.terminate()
        process.wait()


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _is_open(port: int) -> bool:
    try:
        urllib.request.urlopen(f"https://localhost:{port}/health", timeout=5)
    except urllib.error.URLError as error:
        # Its authority is not known here; that it answers at all is enough.
        return "CERTIFICATE" in str(error.reason)
    return True


def _status(address: str, key: str) -> int:
    request = urllib.request.Request(address, headers={"apikey": key} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


if __name__ == "__main__":
    sys.exit(main())
