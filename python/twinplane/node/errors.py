"""What can go wrong in a node, as small types. Words for people come from whoever reports them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class PayloadRefused(Exception):
    """The core cannot serve a payload; the old one goes on. `faults` are its reasons, as it gave them."""

    def __init__(self, faults: Sequence[Mapping[str, Any]]) -> None:
        texts = [str(fault.get("message", fault)) for fault in faults]
        super().__init__("; ".join(texts[:5]) or "the core gave no reason")
        self.faults = faults


class CacheUnwritable(Exception):
    """The node's configuration cache cannot be written: full, read-only or gone."""


class CacheDamaged(Exception):
    """A file of the configuration cache does not hold what it was given."""


class FallbackUnusable(Exception):
    """The fallback configuration is not there, not whole, or not for this node."""


class SealBroken(Exception):
    """What was sealed cannot be opened: it is damaged, or sealed with a key that this node does not have."""


class NodeStartError(Exception):
    """The node cannot start. One line for each thing that is wrong."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class LicenseExpired(NodeStartError):
    """The licence of the configuration is over, and the node is not to start with it."""
