"""Commands that pages tell people to type: each names a command of the program, and options that it has."""

from __future__ import annotations

import contextlib
import io
import re
from functools import cache
from pathlib import Path

import pytest

from twinplane.cli.program import main

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|`|bin/|exec |\| )twinplane ([a-z][a-z-]*)([^`\n|&#]*)", re.MULTILINE)
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


@cache
def help_of(*words: str) -> str:
    """What `--help` says of a command; "" where there is none."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(io.StringIO()), pytest.raises(SystemExit):
        main([*words, "--help"])
    return told.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_of_a_page_are_there(page: Path) -> None:
    wrong = []
    # Elsewhere the name of the program is a word of a sentence.
    code = "\n".join(_CODE.findall(page.read_text(encoding="utf-8").replace("\\\n", " ")))
    for command, rest in _COMMAND.findall(code):
        told = help_of(command)
        if not told:
            wrong.append(f"twinplane {command}")
            continue
        first = rest.split()[:1]
        deeper = help_of(command, *first) if first and re.fullmatch(r"[a-z][a-z-]*", first[0]) else ""
        wrong += [f"{command} {option}" for option in _OPTION.findall(rest) if option not in told + deeper]
    assert not wrong
