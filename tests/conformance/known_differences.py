"""`known_differences.toml`: what is answered otherwise than recorded, by cause."""

from __future__ import annotations

import tomllib
from pathlib import Path

FILE = Path(__file__).with_name("known_differences.toml")


def known_differences(suite: str) -> dict[str, str]:
    """Case to cause, of one suite."""
    causes = tomllib.loads(FILE.read_text(encoding="utf-8")).get(suite, {})
    return {case: cause for cause, entry in causes.items() for case in entry["cases"]}
