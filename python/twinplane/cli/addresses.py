"""Finds the addresses that are published: those that settings name, and those that names resolve to, now and then.

What the name server ceases to give stays for a time, and what it cannot tell at the moment stays as it was: a feed that
flickers is worse than one that lags.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from twinplane.control.addresses import Addresses
from twinplane.settings import ProcessSettings
from twinplane.settings.addresses import PER_REGION_MAX
from twinplane.settings.network import API, GLOBAL, GLOBAL_API, KIC_API

RESOLVE_TIMEOUT_S = 5.0
_AT_ONCE = 8
_log = logging.getLogger("addresses")

Resolve = Callable[[str], Sequence[str]]


def resolve(name: str) -> list[str]:
    """The addresses of a name. Raises OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]).partition("%")[0] for entry in found})


class AddressKeeper:
    """Keeps what is published up to date."""

    def __init__(
        self,
        settings: ProcessSettings,
        addresses: Addresses,
        regions: Sequence[str],
        *,
        resolve: Resolve = resolve,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._addresses = addresses
        self._regions = regions
        self._resolve = resolve
        self._clock = clock
        self._interval_s: int = settings["ip-resolve"]
        self._forget_s: int = settings["ip-forget"]
        self._ingress: Mapping[str, tuple[str, ...]] = settings["ip-ingress"] or {}
        self._egress: Mapping[str, tuple[str, ...]] = settings["ip-egress"] or {}
        self._names = _names(settings, regions) if self._interval_s else {}
        # When each network of a region was last given for a name; what was published before has no name.
        self._seen: dict[tuple[str, str, str], float] = {}
        self.failed_total = 0
        self.dropped_total = 0

    async def run(self) -> None:
        """Publish at once, and again after each round of resolving, until cancelled."""
        self._recall()
        while True:
            try:
                await self.round()
            except Exception:
                # The store cannot be written now; what was published stays.
                _log.exception("addresses_not_published")
            if not self._interval_s:
                return
            await asyncio.sleep(self._interval_s)

    async def round(self) -> None:
        """Resolve every name once, and publish."""
        limit = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(
            *(self._look_up(region, name, limit) for region, names in self._names.items() for name in names)
        )
        horizon = self._clock() - self._forget_s
        self._seen = {key: at for key, at in self._seen.items() if at > horizon}
        ingress = {region: list(self._ingress.get(region, ())) for region in self._regions}
        for region, network in dict.fromkeys((region, network) for region, _, network in self._seen):
            self._take(ingress[region], region, network)
        egress = {region: list(self._egress[region]) for region in self._regions if region in self._egress}
        await asyncio.to_thread(self._addresses.publish, ingress=ingress, egress=egress)

    def _recall(self) -> None:
        """Start from what was published before: a restart forgets nothing at once."""
        if not self._names:
            return
        now = self._clock()
        for region, networks in self._addresses.published().ingress.items():
            if region in self._regions:
                self._seen |= {(region, "", network): now for network in networks}

    async def _look_up(self, region: str, name: str, limit: asyncio.Semaphore) -> None:
        try:
            async with limit, asyncio.timeout(RESOLVE_TIMEOUT_S):
                found = await asyncio.to_thread(self._resolve, name)
        except (OSError, TimeoutError, UnicodeError) as error:
            self.failed_total += 1
            _log.warning("name_not_resolved name=%s detail=%s", name, error)
            # Not known is not the same as gone.
            for key in self._seen:
                if key[:2] == (region, name):
                    self._seen[key] = self._clock()
            return
        for address in found[:PER_REGION_MAX]:
            self._seen[(region, name, str(ipaddress.ip_network(address)))] = self._clock()

    def _take(self, networks: list[str], region: str, network: str) -> None:
        if network in networks:
            return
        if len(networks) >= PER_REGION_MAX:
            self.dropped_total += 1
            _log.warning("address_dropped region=%s network=%s limit=%d", region, network, PER_REGION_MAX)
            return
        networks.append(network)


def _names(settings: ProcessSettings, regions: Sequence[str]) -> dict[str, list[str]]:
    """What is resolved for each region: its API hosts, and the names that are given."""
    domain, given = settings["domain"], settings["ip-names"] or {}
    names: dict[str, list[str]] = {}
    for region in regions:
        kinds = (GLOBAL_API,) if region == GLOBAL else (API, KIC_API)
        names[region] = [*(kind.host(domain=domain, region=region) for kind in kinds), *given.get(region, ())]
    return names
