"""Numbers as Kong's clients write them in texts: decimal, exponent, hexadecimal, blanks around."""

from __future__ import annotations

import re
from typing import Final

_DECIMAL: Final = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*\Z")
_HEXADECIMAL: Final = re.compile(r"\s*([+-]?)0[xX]([0-9A-Fa-f]{1,15})\s*\Z")
_DIGITS_MAX: Final = 100


def parse_number(text: str) -> int | float | None:
    """The number a text spells, or None; whole numbers come back as int."""
    if len(text) > _DIGITS_MAX:
        return None
    hexadecimal = _HEXADECIMAL.match(text)
    if hexadecimal:
        return int(hexadecimal[1] + hexadecimal[2], 16)
    if not _DECIMAL.match(text):
        return None
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < 2**63 else number
