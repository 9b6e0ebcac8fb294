"""Counts hand-written lines of Python and Rust outside tests, and holds the share of Python above its floor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tools.tidy.tree import ROOT, tracked

PYTHON_SHARE_MIN = 0.50


def _counted(path: Path, text: str) -> bool:
    parts = path.parts
    if parts[0] not in {"crates", "python"} or "tests" in parts or "examples" in parts:
        return False
    return not path.name.startswith("test_") and path.stem != "tests" and "Generated from" not in text[:300]


def _lines(path: Path, text: str) -> int:
    body = text.split("#[cfg(test)]\nmod tests", 1)[0] if path.suffix == ".rs" else text
    return sum(1 for line in body.splitlines() if line.strip())


def counts() -> dict[str, dict[str, int]]:
    """Lines by language and room."""
    found: dict[str, dict[str, int]] = {"Python": {}, "Rust": {}}
    for path in tracked(".py", ".rs"):
        text = (ROOT / path).read_text(encoding="utf-8")
        if not _counted(path, text):
            continue
        language = "Python" if path.suffix == ".py" else "Rust"
        room = path.parts[1] if path.parts[0] == "crates" else "/".join(path.parts[2:3]).removesuffix(".py")
        found[language][room] = found[language].get(room, 0) + _lines(path, text)
    return found


def share() -> float:
    """Python's share of all counted lines."""
    totals = {language: sum(rooms.values()) for language, rooms in counts().items()}
    return totals["Python"] / max(1, sum(totals.values()))


def breaches() -> Iterator[str]:
    """One breach where Python's share fell under its floor."""
    if share() < PYTHON_SHARE_MIN:
        yield f"Python holds {share():.0%} of the hand-written lines; at least {PYTHON_SHARE_MIN:.0%} are wanted"


def table() -> str:
    """The counts as text."""
    rows = []
    for language, rooms in counts().items():
        rows.append(f"{language:<8}{sum(rooms.values()):>8}")
        rows.extend(f"  {room:<18}{count:>6}" for room, count in sorted(rooms.items(), key=lambda item: -item[1]))
    rows.append(f"Python's share: {share():.1%} (floor {PYTHON_SHARE_MIN:.0%})")
    return "\n".join(rows)
