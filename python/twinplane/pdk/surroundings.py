"""What a node lends each plugin, in phases and beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twinplane.pdk.cache import Cache
from twinplane.pdk.http import Http
from twinplane.pdk.meter import Meter


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One plugin's own, for as long as the node runs."""

    cache: Cache
    """A bounded map with a time to live."""
    http: Http
    """Requests to other servers."""
    meter: Meter
    """Counters and histograms on `/metrics`."""
    node_id: str
    """Id of the node."""
    secret: Callable[[str], str]
    """The secret behind a reference, `{vault://env/my-secret}`. Raises LookupError."""
