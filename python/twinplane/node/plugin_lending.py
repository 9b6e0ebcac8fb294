"""What a node lends its plugins in Python: each a cache, a way out, a meter and secrets; and the limits of it all."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinplane.pdk import Surroundings
    from twinplane.pdk.http import HttpPool

_MS = 1000


@dataclass(frozen=True, slots=True)
class HostLimits:
    """What plugins in Python may take."""

    threads: int = 4
    calls_max: int = 1000
    """Calls that wait for a thread; and, apart from that, coroutines under way."""
    timeout_ms: int = 1000
    fails_open: bool = False
    log_entries_max: int = 10_000
    response_bytes_max: int = 8 * 1024 * 1024
    http_connections_max: int = 100
    http_response_bytes_max: int = 8 * 1024 * 1024


def no_secrets(reference: str) -> str:
    """Stands for vaults where there are none. Raises LookupError."""
    raise LookupError(f"{reference} leads nowhere: this process reaches no vault")


class PluginLending:
    """Lasts as long as the node, whatever becomes of the plugins' code. The kit is loaded with the first plugin."""

    def __init__(
        self,
        limits: HostLimits,
        *,
        secret: Callable[[str], str],
        trust: Callable[[], ssl.SSLContext],
        node_id: Callable[[], str],
    ) -> None:
        self._limits = limits
        self._secret = secret
        self._trust = trust
        self._node_id = node_id
        self._lent: dict[str, Surroundings] = {}
        self._pool: HttpPool | None = None

    def to(self, plugin: str) -> Surroundings:
        """What the plugin called so is lent."""
        if plugin not in self._lent:
            from twinplane.pdk import Cache, Http, Meter, Surroundings  # noqa: PLC0415 - as said above

            self._lent[plugin] = Surroundings(
                cache=Cache(),
                http=Http(self._http(), plugin),
                meter=Meter(plugin),
                node_id=self._node_id(),
                secret=self._secret,
            )
        return self._lent[plugin]

    def series(self) -> list[dict[str, Any]]:
        """What plugins have measured and asked, in the form that the core tells its own series in."""
        # A configuration may bring another plugin meanwhile, on another thread.
        lending = list(self._lent.items())
        told = [series for _, lent in lending for series in lent.meter.series()]
        for plugin, lent in lending:
            for name, value in (("series_lost", lent.meter.lost_total), ("cache_evictions", lent.cache.evicted_total)):
                if value:
                    told.append(_counter(f"twinplane_python_plugin_{name}_total", {"plugin": plugin}, value))
        if self._pool is not None:
            told += [
                _counter("twinplane_python_plugin_http_requests_total", {"plugin": plugin, "result": result}, value)
                for (plugin, result), value in list(self._pool.counts.items())
            ]
        return told

    async def close(self) -> None:
        """Close connections; on the loop of plugins."""
        if self._pool is not None:
            await self._pool.close()

    def _http(self) -> HttpPool:
        if self._pool is None:
            from twinplane.pdk.http import HttpLimits, HttpPool  # noqa: PLC0415 - as said above

            limits = self._limits
            timeout_s = limits.timeout_ms / _MS
            own = HttpLimits(limits.http_connections_max, limits.http_response_bytes_max, timeout_s)
            self._pool = HttpPool(own, self._trust)
        return self._pool


def _counter(name: str, labels: dict[str, str], value: float) -> dict[str, Any]:
    return {"name": name, "labels": labels, "value": value}
