"""`twinplane up --demo`: a configuration, an upstream behind it, and callers, so that there is something to see.

Goes through the doors that users go through: configuration over the API, requests to the node's ports.
"""

from __future__ import annotations

from twinplane.cli.demo.demo import Demo

__all__ = ["Demo"]
