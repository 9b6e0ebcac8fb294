"""Holds pages to what they point at: links, paths in code marks, targets of make; and code to pages that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tools.tidy.tree import ROOT, tracked

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r'(?:\]\(|\bsrc(?:set)?=")([^()\s"]+)[)"]')
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_ANCHOR = re.compile(r'<a id="([^"]+)"')
_PLACE = re.compile(
    r"`((?:docs|tests|tools|bench|deploy|examples|python|crates|requirements|changelog\.d)/[\w./-]*\w)/?`"
)
_MAKE = re.compile(r"(?:^|`)make ([a-z][a-z-]*)", re.MULTILINE)
_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
_PAGE = re.compile(r"\bdocs/[\w./-]+\.md(?:#[\w-]+)?")
_OUTWARD = ("http://", "https://", "mailto:")


def breaches() -> Iterator[str]:
    """Every pointer that leads nowhere."""
    for path in tracked(".md"):
        text = (ROOT / path).read_text(encoding="utf-8")
        for target in _LINK.findall(_CODE.sub("", _FENCE.sub("", text))):
            if not target.startswith(_OUTWARD) and not _is_there(path, target):
                yield f"{path}: the link {target} leads nowhere"
        for place in _PLACE.findall(text):
            if not (ROOT / place).exists():
                yield f"{path}: there is no {place}"
        for target in _MAKE.findall(text):
            if target not in _targets():
                yield f"{path}: make has no target {target}"
    for path in tracked(".py", ".rs", ".html", ".yaml"):
        for target in _PAGE.findall((ROOT / path).read_text(encoding="utf-8")):
            if not path.parts[0].startswith("test") and not _is_there(Path("README.md"), target):
                yield f"{path}: the page {target} is not there"


def slug(heading: str) -> str:
    """The anchor that a heading gets where Markdown is shown."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def _is_there(page: Path, target: str) -> bool:
    """Whether a link of a page leads to a file, and to a place in it."""
    name, _, anchor = target.partition("#")
    path = ROOT / page.parent / name if name else ROOT / page
    return path.exists() and (not anchor or path.suffix != ".md" or anchor in _anchors(path))


@cache
def _anchors(path: Path) -> frozenset[str]:
    text = path.read_text(encoding="utf-8")
    return frozenset((*map(slug, _HEADING.findall(_FENCE.sub("", text))), *_ANCHOR.findall(text)))


@cache
def _targets() -> frozenset[str]:
    return frozenset(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
