"""`make screenshots`: a picture of every page, in light, in dark and on a phone, with a page that shows them all."""

from __future__ import annotations

import argparse
import fnmatch
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error

from tools.screenshots.browser import MISSING, browser, chromium, new_context, open_view, sign_in
from tools.screenshots.seed import Seeded, seeded
from tools.screenshots.views import View, every_plugin, views

FORMATS: Mapping[str, Mapping[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "device_scale_factor": 2},
}


def main() -> int:
    """Take the pictures. The exit status is 1 where a page could not be taken."""
    arguments = _arguments()
    chosen = [view for view in _all(arguments.plugins) if _is_wanted(view, arguments.pages)]
    if arguments.list:
        print("\n".join(view.name for view in chosen))
        return 0
    if chromium() is None:
        print(MISSING, file=sys.stderr)
        return 1
    if not chosen:
        print(f"no page fits {' '.join(arguments.pages)}; --list shows all", file=sys.stderr)
        return 1
    began, failed = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as directory, seeded(Path(directory)) as found, browser() as opened:
        for name in arguments.formats:
            failed += _take(opened, found, chosen, arguments.to / name, FORMATS[name])
    _write_index(arguments.to)
    pictures = len(chosen) * len(arguments.formats)
    print(f"{pictures} pictures in {time.monotonic() - began:.0f} s: {arguments.to}/index.html")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("pages", nargs="*", help="names of pages, * stands for anything; all without any")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--plugins", action="store_true", help="also the form of every plugin")
    parser.add_argument("--to", type=Path, default=Path("build/screenshots"), metavar="directory")
    parser.add_argument("--list", action="store_true", help="only say which pages there are")
    return parser.parse_args()


def _all(with_plugins: bool) -> Sequence[View]:
    found = {view.name: view for view in views()}
    if with_plugins:
        found |= {view.name: view for view in every_plugin() if view.name not in found}
    return list(found.values())


def _is_wanted(view: View, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch.fnmatch(view.name, pattern) for pattern in patterns)


def _take(opened: Browser, found: Seeded, chosen: Sequence[View], to: Path, options: Mapping[str, Any]) -> int:
    """Take pictures in one format; the answer is how many failed."""
    to.mkdir(parents=True, exist_ok=True)
    failed = 0
    with new_context(opened, **options) as stranger, new_context(opened, **options) as person:
        own, page = stranger.new_page(), person.new_page()
        sign_in(page, found)
        cookies = person.storage_state()["cookies"]
        for view in chosen:
            shown = page if view.is_signed_in else own
            try:
                open_view(shown, view, found)
                shown.screenshot(path=to / f"{view.name}.png", full_page=True)
            except (AssertionError, Error) as error:
                failed += 1
                print(f"{to.name}/{view.name}: {str(error).splitlines()[0]}", file=sys.stderr)
            # A view may have taken them away.
            person.add_cookies(cookies)
    return failed


def _write_index(to: Path) -> None:
    """One page with all pictures that are there."""
    names = list(dict.fromkeys(picture.stem for name in FORMATS for picture in sorted((to / name).glob("*.png"))))
    rows = "\n".join(
        f'<section><h2 id="{escape(name)}">{escape(name)}</h2>'
        + "".join(
            f'<a href="{kind}/{escape(name)}.png"><img loading="lazy" src="{kind}/{escape(name)}.png" alt="{kind}"></a>'
            for kind in FORMATS
            if (to / kind / f"{name}.png").exists()
        )
        + "</section>"
        for name in names
    )
    style = "body{font-family:sans-serif;margin:2rem}img{height:30rem;border:1px solid #999;margin-right:1rem}"
    style += "section{white-space:nowrap;overflow-x:auto}"
    text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pages</title><style>{style}</style>{rows}'
    (to / "index.html").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
