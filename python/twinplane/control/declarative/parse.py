"""Text of a declarative document, JSON or YAML, to plain values. Pure; a hostile text costs no more than its size."""

from __future__ import annotations

from typing import Any

import orjson
import yaml

from twinplane.control.declarative.plain_yaml import load_plain
from twinplane.control.errors import DeclarativeViolation, LimitExceeded

DEPTH_MAX = 64
VALUES_MAX = 20_000_000


def parse(text: bytes) -> dict[str, Any]:
    """The document. Raises DeclarativeViolation where it is none, LimitExceeded where it unfolds without end."""
    try:
        document = orjson.loads(text) if text.lstrip()[:1] in (b"{", b"[") else load_plain(text)
    except (orjson.JSONDecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise DeclarativeViolation({"error": f"failed parsing declarative configuration: {_reason(error)}"}) from error
    except RecursionError as error:
        raise LimitExceeded("levels of a declarative document", DEPTH_MAX) from error
    if not isinstance(document, dict):
        raise DeclarativeViolation({"error": "failed parsing declarative configuration: expected an object"})
    _check_extent(document)
    return document


def _reason(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"{mark.line + 1}:{mark.column + 1}: {getattr(error, 'problem', None) or 'not valid YAML'}"
    return str(error)


def _check_extent(document: Any) -> None:
    """Count values as they unfold: aliases make a small text huge, and deep nesting ends every walk."""
    waiting = [(document, 1)]
    values = 0
    while waiting:
        value, depth = waiting.pop()
        values += 1
        if depth > DEPTH_MAX:
            raise LimitExceeded("levels of a declarative document", DEPTH_MAX)
        if values > VALUES_MAX:
            raise LimitExceeded("values of a declarative document", VALUES_MAX)
        if isinstance(value, dict):
            waiting.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list):
            waiting.extend((inner, depth + 1) for inner in value)
