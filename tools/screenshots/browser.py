"""Debian's Chromium, driven: one browser, signed in, that waits until a page is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tools.screenshots.seed import Seeded
from tools.screenshots.views import View

NAMES = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_MS = 60_000.0
MISSING = "no Chromium on the PATH: on Debian and Ubuntu `apt-get install chromium`"


def chromium() -> str | None:
    """The browser of this machine."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """The browser, started. Raises FileNotFoundError where there is none."""
    program = chromium()
    if program is None:
        raise FileNotFoundError(MISSING)
    with sync_playwright() as playwright:
        # Its own sandbox cannot be had by root, as in containers.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        found = playwright.chromium.launch(executable_path=program, args=[*options, "--disable-dev-shm-usage"])
        try:
            yield found
        finally:
            found.close()


def new_context(of: Browser, **options: Any) -> BrowserContext:
    """A browser of somebody who is not signed in. Certificates of the installation's own authority are taken."""
    found = of.new_context(ignore_https_errors=True, reduced_motion="reduce", **options)
    found.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    return found


def sign_in(page: Page, seeded: Seeded) -> None:
    """Through the form, as people do."""
    page.goto(f"{seeded.address}/sign-in")
    page.get_by_label("Access token").fill(seeded.up.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Control planes")


def open_view(page: Page, view: View, seeded: Seeded) -> None:
    """Go to a page, do what is to be done there, and wait until it is whole."""
    answer = page.goto(view.address(seeded))
    assert answer is not None, view.name
    assert answer.status == view.status, f"{view.name}: answered with {answer.status}"
    until_whole(page)
    if view.act is not None:
        view.act(page, seeded)
        until_whole(page)


def until_whole(page: Page) -> None:
    """Wait for the scripts of the page and its fonts."""
    page.wait_for_load_state("load")
    page.evaluate("Promise.all([customElements.whenDefined('copy-text'), document.fonts.ready])")
