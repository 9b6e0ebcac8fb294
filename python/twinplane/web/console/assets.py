"""Styles and scripts: read once at start, named by their content, compressed once, kept by browsers for good.

They lie beside the pages they serve: every `.css` and `.js` file below this folder is one.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent
PREFIX = "/assets/"
# The frame's styles come first: what a page adds may rest on them.
_FIRST = ("frame/tokens.css", "frame/base.css", "frame/frame.css", "components/components.css")
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served."""

    body: bytes
    packed: bytes
    content_type: str


class Assets:
    """All styles, joined to one, and all scripts. Scripts find each other by relative names."""

    def __init__(self, root: Path = ROOT) -> None:
        styles = [root / name for name in _FIRST]
        styles += sorted(path for path in root.rglob("*.css") if path not in styles)
        files: dict[str, bytes] = {"console.css": b"\n".join(path.read_bytes() for path in styles)}
        for path in sorted([*root.rglob("*.js"), *root.rglob("*.svg")]):
            files[path.relative_to(root).as_posix()] = path.read_bytes()
        digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + body for name, body in files.items()))
        self.version = digest.hexdigest()[:16]
        self._assets: Mapping[str, Asset] = {
            name: Asset(body, gzip.compress(body, mtime=0), _TYPES["." + name.rpartition(".")[2]])
            for name, body in files.items()
        }

    def url(self, name: str) -> str:
        """Where a browser finds a file. Raises KeyError for a file that is not there."""
        self._assets[name]  # a wrong name is a fault of the page, seen at once
        return f"{PREFIX}{self.version}/{name}"

    def find(self, path: str) -> Asset | None:
        """The file at a path below the prefix, whichever version is asked for."""
        return self._assets.get(path.removeprefix(PREFIX).partition("/")[2])

    @property
    def names(self) -> list[str]:
        """Every file there is."""
        return sorted(self._assets)
