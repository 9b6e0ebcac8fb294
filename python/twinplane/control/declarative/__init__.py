"""Declarative documents: a decK-like file, `POST /config` or a sparse payload, read into the flat form that nodes run.

Needs no store, so that a node without a control plane can use it.
"""

from __future__ import annotations

from twinplane.control.declarative.parse import parse
from twinplane.control.declarative.reader import Declared, load, read

__all__ = ["Declared", "load", "parse", "read"]
