"""Holds `docs/network.md` to the constants that processes run on."""

from __future__ import annotations

from collections.abc import Iterator

from tools.generate.network import PAGE, page
from tools.tidy.tree import ROOT


def breaches() -> Iterator[str]:
    """One breach where the page differs from what the constants say."""
    path = ROOT / PAGE
    if not path.exists() or path.read_text(encoding="utf-8") != page():
        yield f"{PAGE}: differs from the constants in twinplane.settings.network; run make generate"
