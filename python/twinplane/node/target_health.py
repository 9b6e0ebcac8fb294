"""How targets fare, as operators see it: the health of an upstream, what people set by hand, a line for each change.

While an upstream has no target left, that is a condition of the node.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Final, Protocol

import orjson

from twinplane.node.conditions import Conditions

NO_TARGETS: Final = "upstream_without_targets"
_NAMED_MAX = 5
_LOOK_S = 1.0
_OUT = frozenset(("unhealthy", "dns_error"))
_Place = tuple[str, str, str]
_log = logging.getLogger(__name__)


class JudgingCore(Protocol):
    """The part of the core that this module needs."""

    def drain(self, kind: Any) -> bytes:
        """Of the kinds `health` and `troubles` rows of targets, of `upstreams` those: a JSON list."""

    def judge(self, judgements: bytes) -> int:
        """Take what people want into account; how many addresses it was about."""


class TargetHealth:
    """The targets of one node."""

    def __init__(self, core: JudgingCore) -> None:
        self._core = core

    def of(self, upstream: str) -> list[dict[str, Any]]:
        """The targets of an upstream, by name or id, with their addresses. Empty where it has none."""
        rows = orjson.loads(self._core.drain("health"))
        targets: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if upstream in (row["upstream"], row["upstream_id"]):
                targets.setdefault(row["target_id"], []).append(row)
        return [_target(own) for own in targets.values()]

    def knows(self, upstream: str) -> bool:
        """Whether there is such an upstream, by name or id, with or without targets."""
        rows = orjson.loads(self._core.drain("upstreams"))
        return any(upstream in (row["upstream"], row["upstream_id"]) for row in rows)

    def set(self, upstream: str, target: str, address: str | None, *, is_healthy: bool) -> bool:
        """Put a target in or out by hand, whole or one address of it. False where there is none such."""
        rows = orjson.loads(self._core.drain("health"))
        own = [
            row
            for row in rows
            if upstream in (row["upstream"], row["upstream_id"]) and target in (row["target_id"], row["target"])
        ]
        if address is not None:
            own = [row for row in own if row["address"] == address]
        if not own:
            return False
        host, _, port = own[0]["target"].rpartition(":")
        judgement = {
            "upstream": own[0]["upstream"],
            "host": host,
            "target_port": int(port),
            "verdict": {"set": {"is_healthy": is_healthy}},
        }
        if address is not None:
            place, _, number = address.rpartition(":")
            judgement |= {"address": place.strip("[]"), "port": int(number)}
        return self._core.judge(orjson.dumps([judgement])) > 0

    async def watch(self, conditions: Conditions) -> None:
        """Log each target that falls out or comes back, and note upstreams without any, until cancelled."""
        before: dict[_Place, str] = {}
        while True:
            rows = orjson.loads(await asyncio.to_thread(self._core.drain, "troubles"))
            now = {(row["upstream"], row["target"], row["address"]): row["health"] for row in rows}
            _tell(before, now)
            before = now
            named = await asyncio.to_thread(self._without_targets, {row["upstream"] for row in rows})
            if named:
                conditions.note(NO_TARGETS, _worded(named))
            else:
                conditions.clear(NO_TARGETS)
            await asyncio.sleep(_LOOK_S)

    def _without_targets(self, troubled: Set[str]) -> list[str]:
        """Of upstreams in trouble those of which no target is left."""
        if not troubled:
            return []
        rows = orjson.loads(self._core.drain("health"))
        served = {row["upstream"] for row in rows if row["weight"] and row["health"] not in _OUT}
        return sorted(troubled - served)


def _worded(upstreams: Sequence[str]) -> str:
    more = len(upstreams) - _NAMED_MAX
    named = ", ".join(upstreams[:_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
    return f"no target is available of {named}: their requests are answered with 503"


def _tell(before: Mapping[_Place, str], now: Mapping[_Place, str]) -> None:
    for place in now.keys() - before.keys():
        if now[place] == "dns_error":
            _log.warning("target_name_failed upstream=%s target=%s", *place[:2])
        else:
            _log.warning("target_put_out upstream=%s target=%s address=%s", *place)
    for place in before.keys() - now.keys():
        if before[place] == "dns_error":
            _log.info("target_name_found upstream=%s target=%s", *place[:2])
        else:
            _log.info("target_put_in upstream=%s target=%s address=%s", *place)


def _target(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A target is as healthy as the best of its addresses."""
    first = rows[0]
    addresses = [_address(row) for row in rows if row["address"]]
    available = sum(row["weight"] for row in rows if row["health"] not in _OUT)
    total = sum(row["weight"] for row in rows)
    return {
        "id": first["target_id"],
        "target": first["target"],
        "weight": first["weight"],
        "upstream": {"id": first["upstream_id"]},
        "health": _best(row["health"] for row in rows).upper(),
        "data": {
            "addresses": addresses,
            "weight": {"total": total, "available": available, "unavailable": total - available},
        },
    }


def _best(states: Iterable[str]) -> str:
    found = set(states)
    return next(state for state in ("healthy", "healthchecks_off", "unhealthy", "dns_error") if state in found)


def _address(row: Mapping[str, Any]) -> dict[str, Any]:
    ip, _, port = row["address"].rpartition(":")
    return {"ip": ip.strip("[]"), "port": int(port), "health": row["health"].upper(), "weight": row["weight"]}
