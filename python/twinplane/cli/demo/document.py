"""The demo's declarative file: filled in with what differs from one installation to the next, and read as any other."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from twinplane.control.declarative import read

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Entities by collection, what is referred to before what refers to it."""

_PLACE = re.compile(r'\$\{\{ env "DECK_DEMO_(\w+)"(?: \| indent (\d+))? \}\}')


def read_document(values: Mapping[str, str]) -> Rows:
    """The entities of the demo. `values` are what decK would find in variables, without `DECK_DEMO_`."""

    def fill(place: re.Match[str]) -> str:
        return values[place[1]].strip().replace("\n", "\n" + " " * int(place[2] or 0))

    return read(_PLACE.sub(fill, _text()).encode(), now=time.time()).rows


@cache
def _text() -> str:
    return (resources.files(__package__) / "kong.yaml").read_text(encoding="utf-8")
