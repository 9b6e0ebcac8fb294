"""JSON of frames read without leniency: UTF-8, no name twice in an object, no numbers that JSON lacks. Pure.

Parsers differ in which of two values counts; a frame that relies on that is refused rather than read in one way.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from twinplane.hybrid.errors import FrameInvalid


def read_strict(data: bytes) -> Any:
    """The value. Raises FrameInvalid."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise FrameInvalid("not UTF-8", "not_utf8") from error
    except RecursionError as error:
        raise FrameInvalid("nested too deeply", "nested_too_deep") from error
    except ValueError as error:
        raise FrameInvalid("not JSON", "not_json") from error


def read_strict_object(data: bytes) -> dict[str, Any]:
    """The object. Raises FrameInvalid."""
    value = read_strict(data)
    if not isinstance(value, dict):
        raise FrameInvalid("no JSON object", "not_json")
    return value


def check_names(text: bytes, *written: bytes) -> None:
    """Raises FrameInvalid where an object of a large text has a name twice.

    `written` is all that a lenient reader found, as it writes it. An entry that gave way to another of its name took a
    colon with it, and nothing else does; only a colon that is escaped calls for reading the text anew.
    """
    if b"\\u003a" in text or b"\\u003A" in text:
        read_strict(text)
    elif text.count(b":") != sum(each.count(b":") for each in written):
        raise FrameInvalid("a name twice in one object", "duplicate_name")


def said_text(value: object, length_max: int) -> str:
    """What a peer says, as text of one line that can be written down and shown; empty where it is no text."""
    text = value[:length_max] if isinstance(value, str) else ""
    # It is shown to people, in a terminal too.
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise FrameInvalid("a name twice in one object", "duplicate_name")
    return found


def _no_number(_text: str) -> NoReturn:
    raise FrameInvalid("a number that JSON does not have", "not_json")
