"""The Common Event Format: `CEF:0|vendor|product|version|class|name|severity|key=value ...`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from twinplane.audit.line import printable

VENDOR = "twinplane"
FIELDS_MAX = 64
_KEY = re.compile(r"(?:^| )([A-Za-z0-9_.\-]{1,64})=")
_EVENT = re.compile(r"CEF:[01](?:\|(?:[^|\\]|\\.)*){6}\|(.*)", re.DOTALL)
_IN_HEADER = str.maketrans({"\\": "\\\\", "|": "\\|"})
_IN_VALUE = str.maketrans({"\\": "\\\\", "=": "\\="})
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class CefEvent:
    """One event to be written."""

    product: str
    version: str
    event_class: str
    name: str
    severity: int
    extension: Mapping[str, str]

    def encode(self) -> str:
        """The event as one line of text."""
        head = "|".join(
            printable(part).translate(_IN_HEADER)
            for part in (VENDOR, self.product, self.version, self.event_class, self.name)
        )
        pairs = " ".join(f"{key}={printable(value).translate(_IN_VALUE)}" for key, value in self.extension.items())
        return f"CEF:0|{head}|{self.severity}|{pairs}"


def parse_extension(text: str) -> dict[str, str]:
    """The fields of an event; empty where the text is no event."""
    event = _EVENT.fullmatch(text)
    if event is None:
        return {}
    extension = event[1]
    found = [match for match in _KEY.finditer(extension) if not _is_escaped(extension, match.end() - 1)][:FIELDS_MAX]
    fields = {}
    for index, match in enumerate(found):
        end = found[index + 1].start() if index + 1 < len(found) else len(extension)
        fields[match[1]] = _ESCAPED.sub(r"\1", extension[match.end() : end]).strip()
    return fields


def _is_escaped(text: str, at: int) -> bool:
    return text[at - 1 : at] == "\\"
