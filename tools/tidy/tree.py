"""Rules on files: names without a concept, heads without a purpose, sizes, words that belong to no product."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINES_MAX = 900
NAMELESS = {"utils", "helpers", "common", "misc", "manager", "util", "helper"}
# Settings and their readers are the only place that reads the environment; the program hands it to them.
ENVIRONMENT_READERS = {"python/twinplane/cli/program.py"}
_ENVIRONMENT = re.compile(r"\bos\.(environ|getenv)\b")


@cache
def tracked(*suffixes: str) -> tuple[Path, ...]:
    """The files of the tree that end in one of `suffixes`, relative to its root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = (Path(line) for line in listed.stdout.splitlines())
    return tuple(path for path in found if path.suffix in suffixes and (ROOT / path).exists())


def breaches() -> Iterator[str]:
    """Every file that breaks a rule of this page."""
    for path in tracked(".py", ".rs"):
        text = (ROOT / path).read_text(encoding="utf-8")
        if path.stem in NAMELESS:
            yield f"{path}: a file needs the name of its concept, not '{path.stem}'"
        if text.count("\n") > LINES_MAX and "Generated from" not in text[:200]:
            yield f"{path}: more than {LINES_MAX} lines: is there a concept in it that wants a file of its own?"
        if path.suffix == ".py":
            yield from _python_breaches(path, text)
        elif path.stem != "tests" and not text.lstrip().startswith(("//!", "// Generated from")):
            yield f"{path}: opens without a line that says what it is for"


def _python_breaches(path: Path, text: str) -> Iterator[str]:
    module = ast.parse(text)
    if text.strip() and ast.get_docstring(module) is None:
        yield f"{path}: opens without a docstring that says what it is for"
    inside = str(path).startswith("python/twinplane/") and not path.name.startswith("test_")
    if inside and str(path) not in ENVIRONMENT_READERS and _ENVIRONMENT.search(text):
        yield f"{path}: reads the environment; declare a setting instead"
