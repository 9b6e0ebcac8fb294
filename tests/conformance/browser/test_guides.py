"""`docs/guides/first-request.md`, followed in a browser: from an empty control plane to a protected request."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from tools.screenshots.browser import MISSING, browser, chromium
from tools.screenshots.guide import BOOKSHOP_PORT, BYTES_MAX, ROOT, FirstRequest

GUIDE = ROOT / "docs/guides/first-request.md"


@pytest.mark.skipif(chromium() is None, reason=MISSING)
def test_the_guide_leads_to_a_first_protected_request(tmp_path: Path) -> None:
    with browser() as opened:
        FirstRequest(opened, tmp_path).follow()
    pictures = {path.name: path for path in tmp_path.iterdir()}
    assert set(pictures) == set(re.findall(r"images/(first-[\w-]+\.png)", GUIDE.read_text(encoding="utf-8")))
    for path in pictures.values():
        assert path.stat().st_size <= BYTES_MAX
        with Image.open(path) as picture:
            assert picture.size[0] > 1000


def test_the_guide_says_what_is_typed() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for said in (f"http://127.0.0.1:{BOOKSHOP_PORT}/books", "twinplane data-plane -c kong.conf", "apikey: first-key"):
        assert said in text


def test_pictures_of_the_guides_are_small_and_all_used() -> None:
    used = "".join(page.read_text(encoding="utf-8") for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
    pictures = sorted((ROOT / "docs/images").glob("*.png"))
    assert len(pictures) > 10
    for path in pictures:
        assert path.name in used, path.name
        assert path.stat().st_size <= BYTES_MAX, path.name
