"""Reads `kong.conf` files and `KONG_*` variables into texts, each with the place it was written in.

Knows nothing of what the names mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twinplane.settings.setting import Mistake

FILE_BYTES_MAX = 1024 * 1024
SEARCHED = (Path("/etc/kong/kong.conf"), Path("/etc/kong.conf"))


def read_conf_file(path: Path, mistakes: list[Mistake]) -> dict[str, tuple[str, str]]:
    """Name to (text, place) of a file of `name = value` lines with `#` comments."""
    try:
        data = path.read_bytes()
        if len(data) > FILE_BYTES_MAX:
            mistakes.append(Mistake(str(path), "file", f"larger than {FILE_BYTES_MAX} bytes"))
            return {}
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not valid UTF-8"
        mistakes.append(Mistake(str(path), "file", f"cannot be read: {reason}"))
        return {}
    given: dict[str, tuple[str, str]] = {}
    for row, line in enumerate(text.splitlines(), start=1):
        place = f"{path}:{row}"
        stripped = _without_comment(line)
        if not stripped:
            continue
        name, equals, value = stripped.partition("=")
        if not equals or not name.strip():
            mistakes.append(Mistake(place, stripped[:40], "expected a line of the form name = value"))
            continue
        given[name.strip()] = (_unquoted(value.strip()), place)
    return given


def read_environment(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Name to (text, place) of the variables that start with `KONG_`."""
    return {
        name.removeprefix("KONG_").lower(): (value.strip(), f"environment {name}")
        for name, value in environ.items()
        if name.startswith("KONG_")
    }


def _without_comment(line: str) -> str:
    """The line up to an unescaped `#`; `\\#` stands for the character itself."""
    kept: list[str] = []
    escaped = False
    for character in line:
        if character == "#" and not escaped:
            break
        if escaped and character != "#":
            kept.append("\\")
        escaped = character == "\\" and not escaped
        if not escaped:
            kept.append(character)
    return "".join(kept).strip()


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text
