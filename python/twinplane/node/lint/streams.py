"""Routes for streams that nothing reaches. Only what is sure is said: another one takes all that this one is for,
and the router itself ranks it higher."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from twinplane.node.lint.findings import Finding
from twinplane.node.stream_question import PROTOCOLS

if TYPE_CHECKING:
    from twinplane.node.explain import RouterOfFile

STREAMS = frozenset(PROTOCOLS)
Row = Mapping[str, Any]


def lint_streams(routes: Sequence[Row], names: Mapping[str, str], router: RouterOfFile) -> Iterator[Finding]:
    """What is found in routes for streams that match by attributes."""
    by_id = {route["id"]: route for route in routes}
    for route in routes:
        told = router.ask(_question(route))
        matching = [each["id"] for each in (told["route"], *told["would_match"]) if each is not None]
        if route["id"] not in matching:
            continue
        higher = matching[: matching.index(route["id"])]
        winner = next((each for each in higher if each in by_id and takes_all_of(by_id[each], route)), None)
        if winner is not None:
            detail = f"all that it matches goes to '{names[winner]}'"
            yield Finding("route-unreachable", "routes", names[route["id"]], detail)


def takes_all_of(wide: Row, narrow: Row) -> bool:
    """Whether every stream that one route is for matches another one, too."""
    if not set(narrow["protocols"]) <= set(wide["protocols"]):
        return False
    if wide["snis"] and set(narrow["protocols"]) != set(wide["protocols"]):
        # Whether names are asked for in the clear depends on the protocols.
        return False
    return (
        _all_within(narrow["snis"], wide["snis"], _is_name_within)
        and _all_within(narrow["sources"], wide["sources"], _is_end_within)
        and _all_within(narrow["destinations"], wide["destinations"], _is_end_within)
    )


def _all_within(
    narrow: Sequence[Any] | None, wide: Sequence[Any] | None, is_within: Callable[[Any, Any], bool]
) -> bool:
    if not wide:
        return True
    return bool(narrow) and all(any(is_within(each, other) for other in wide) for each in narrow or ())


def _is_name_within(name: str, pattern: str) -> bool:
    name, pattern = name.rstrip(".").lower(), pattern.rstrip(".").lower()
    if name == pattern:
        return True
    if "*" in name:
        return False
    # As long as one label at least is left for the star.
    if pattern.startswith("*"):
        return name.endswith(pattern[1:]) and len(name) >= len(pattern)
    return pattern.endswith("*") and name.startswith(pattern[:-1]) and len(name) >= len(pattern)


def _is_end_within(end: Row, wide: Row) -> bool:
    if wide.get("port") is not None and wide["port"] != end.get("port"):
        return False
    if wide.get("ip") is None:
        return True
    if end.get("ip") is None:
        return False
    one, all_of = ipaddress.ip_network(end["ip"], strict=False), ipaddress.ip_network(wide["ip"], strict=False)
    if isinstance(one, ipaddress.IPv4Network) and isinstance(all_of, ipaddress.IPv4Network):
        return one.subnet_of(all_of)
    if isinstance(one, ipaddress.IPv6Network) and isinstance(all_of, ipaddress.IPv6Network):
        return one.subnet_of(all_of)
    return False


def _question(route: Row) -> bytes:
    """A stream that the route is for."""
    protocols = route["protocols"]
    name = next(iter(route["snis"] or ()), None)
    tls = next((each for each in protocols if each.startswith("tls")), None)
    question: dict[str, Any] = {
        "protocol": tls or protocols[0],
        "sni": name and name.rstrip(".").replace("*", "only-lint-asks-for-this"),
        "listener_port": 0,
        "considered_max": 1_000,
        "routes_only": True,
    }
    for side, ends in (("client", route["sources"]), ("listener", route["destinations"])):
        end: Row = next(iter(ends or ()), {})
        if end.get("ip") is not None:
            question[f"{side}_ip"] = str(ipaddress.ip_network(end["ip"], strict=False).network_address)
        if end.get("port") is not None:
            question[f"{side}_port"] = end["port"]
    return orjson.dumps(question)
