"""The browser and the installations that tests of the console share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tests.conformance.browser.watched import Axe
from tests.conformance.npm_tool import MissingError, packages
from tools.screenshots.browser import MISSING, browser, chromium
from tools.screenshots.seed import Seeded, seeded


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    """One browser for all tests of a file: beside it no event loop can run in this thread."""
    if chromium() is None:
        pytest.skip(MISSING)
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def shop(chrome: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    """A seeded installation with traffic."""
    with seeded(tmp_path_factory.mktemp("shop")) as found:
        yield found


@pytest.fixture(scope="module")
def axe() -> Axe:
    """The engine that looks for faults of accessibility; one that finds nothing where it cannot be had."""
    try:
        source = packages(Path(__file__).parent / "axe") / "axe-core" / "axe.min.js"
    except MissingError as error:
        return Axe("", missing=f"axe-core cannot be fetched: {error}")
    return Axe(source.read_text(encoding="utf-8"))
