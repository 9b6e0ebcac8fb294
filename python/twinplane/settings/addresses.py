"""Which addresses an installation publishes: given, or found by resolving names. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twinplane.settings.network import GLOBAL
from twinplane.settings.setting import Kind, Mistake, Setting, integer

PER_REGION_MAX = 256
NAMES_MAX = 256
_REGION = re.compile("[a-z]{2,6}")

ByRegion = Mapping[str, tuple[str, ...]]


def _by_region(text: str, read: Callable[[str], str], most: int) -> ByRegion:
    found: dict[str, list[str]] = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        region, equals, value = part.partition("=")
        if not equals or not _REGION.fullmatch(region):
            raise ValueError(f"expected region=value, got '{part}'")
        listed = found.setdefault(region, [])
        shown = read(value)
        if shown not in listed:
            listed.append(shown)
        if len(listed) > most:
            raise ValueError(f"more than {most} entries for {region}")
    return {region: tuple(values) for region, values in found.items()}


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise ValueError(f"'{text}' is neither an IP address nor a CIDR block") from error


def _name(text: str) -> str:
    label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if len(text) > 253 or not re.fullmatch(rf"{label}(\.{label})*", text):
        raise ValueError(f"'{text}' is not a lower-case host name")
    return text


_NETWORKS: Kind[ByRegion] = Kind("list of region=network", lambda text: _by_region(text, _network, PER_REGION_MAX))
_NAMES: Kind[ByRegion] = Kind("list of region=name", lambda text: _by_region(text, _name, NAMES_MAX))

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "ip-ingress",
        _NETWORKS,
        "",
        "Addresses behind the hosts of each region, published in ip-addresses.json, as `eu=203.0.113.0/24`.",
    ),
    Setting(
        "ip-egress", _NETWORKS, "", "Addresses that calls of the platform come from (webhooks), published likewise."
    ),
    Setting(
        "ip-resolve",
        integer(0, 86_400, unit="seconds"),
        "0",
        "How often the API hosts of each region, and ip-names, are resolved for ip-addresses.json. 0 is never.",
    ),
    Setting("ip-names", _NAMES, "", "More names whose addresses are published, as `eu=balancer.eu.example.com`."),
    Setting(
        "ip-forget",
        integer(60, 30 * 86_400, unit="seconds"),
        "86400",
        "How long an address stays published that the name server has ceased to give.",
    ),
)


def address_mistakes(values: Mapping[str, Any], places: Mapping[str, str]) -> Iterable[Mistake]:
    """Regions that are none."""
    known = {*values["regions"], GLOBAL}
    for name in ("ip-ingress", "ip-egress", "ip-names"):
        for region in values[name] or {}:
            if region not in known:
                yield Mistake(places.get(name, "settings"), name, f"{region} is not one of regions")
    if values["ip-names"] and not values["ip-resolve"]:
        yield Mistake(places.get("ip-names", "settings"), "ip-names", "has no effect while ip-resolve is 0")
