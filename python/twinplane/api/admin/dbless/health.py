"""The health of targets as the balancer of this node has it, and targets put in and out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinplane.api.admin.dbless.door import NodeDoor
from twinplane.api.core.dispatch import Handler
from twinplane.api.core.message import NOT_FOUND, Answer, Call, empty, json_answer
from twinplane.control import Parent
from twinplane.control.declarative.room import DeclaredRoom
from twinplane.registry import entity_type

_OFF = "HEALTHCHECKS_OFF"


class TargetHealth:
    """Handlers below `/upstreams/{u}` that ask the node."""

    def __init__(self, door: NodeDoor, room: DeclaredRoom) -> None:
        self._door = door
        self._room = room

    def paths(self) -> Mapping[str, Mapping[str, Handler]]:
        """Every path with its methods."""
        target = "/upstreams/{upstreams}/targets/{targets}"
        found: dict[str, Mapping[str, Handler]] = {"/upstreams/{upstreams}/health": {"GET": self.health}}
        for word, wanted in (("healthy", True), ("unhealthy", False)):
            handlers = {"PUT": self._setter(is_healthy=wanted), "POST": self._setter(is_healthy=wanted)}
            found |= {f"{target}/{word}": handlers, f"{target}/{{address}}/{word}": handlers}
        return found

    def health(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """How the targets of an upstream fare; with `balancer_health=1`, the upstream as a whole."""
        upstream = self._upstream(keys[0])
        fares = {row["id"]: row for row in self._door.targets(upstream["id"])}
        if call.request.query.first("balancer_health") == "1":
            return json_answer(200, {"data": _whole(upstream, list(fares.values())), "next": None, **self._node()})
        now, kind = self._room.now(), entity_type("targets")
        rows, _ = self._room.entities.page(
            kind, after="", size=self._room.entities.count("targets"), now=now, under=("upstream", upstream["id"])
        )
        rows.sort(key=lambda row: (row["created_at"], row["id"]), reverse=True)
        data = [_with_health(kind.answer(row), fares.get(row["id"])) for row in rows]
        return json_answer(200, {"data": data, "next": None, **self._node()})

    def _setter(self, *, is_healthy: bool) -> Handler:
        def handler(_call: Call, keys: tuple[str, ...]) -> Answer:
            upstream = self._upstream(keys[0])
            target = self._room.get(self._room.scope, "targets", keys[1], parent=Parent("upstreams", upstream["id"]))
            address = keys[2] if len(keys) > 2 else None
            if self._door.set_health(upstream["id"], target["id"], address, is_healthy=is_healthy):
                return empty()
            # A real node says nothing about an address that it does not know (vectors: targets/health-on).
            return empty() if address is not None else NOT_FOUND

        return handler

    def _upstream(self, key: str) -> dict[str, Any]:
        return self._room.get(self._room.scope, "upstreams", key)

    def _node(self) -> Mapping[str, str]:
        return {"node_id": self._door.node_id}


def _with_health(row: dict[str, Any], fare: Mapping[str, Any] | None) -> dict[str, Any]:
    """A target with what is known of it; one of no weight, or not yet looked at, has nothing to fare ill by."""
    if fare is None:
        return {**row, "health": _OFF}
    return {**row, "health": fare["health"], "data": _details(fare)}


def _details(fare: Mapping[str, Any]) -> dict[str, Any]:
    host, _, port = fare["target"].rpartition(":")
    addresses = fare["data"]["addresses"]
    kind = "AAAA" if any(":" in address["ip"] for address in addresses) else "A"
    return {
        **fare["data"],
        "dns": kind if addresses else "the name has no address",
        "host": host.strip("[]"),
        "port": int(port),
        "nodeWeight": fare["weight"],
    }


def _whole(upstream: Mapping[str, Any], fares: list[Mapping[str, Any]]) -> dict[str, Any]:
    """An upstream is healthy while more than its threshold of the weight can be reached."""
    total = sum(fare["data"]["weight"]["total"] for fare in fares)
    available = sum(fare["data"]["weight"]["available"] for fare in fares)
    threshold = upstream["healthchecks"]["threshold"]
    is_healthy = total > 0 and available > 0 and available * 100 / total > threshold
    verdict = "HEALTHY" if is_healthy else "UNHEALTHY"
    is_off = all(fare["health"] in (_OFF, "DNS_ERROR") for fare in fares)
    hosts = []
    for fare in fares:
        details = _details(fare)
        details["addresses"] = [
            {"ip": one["ip"], "port": one["port"], "weight": one["weight"], "healthy": one["health"] != "UNHEALTHY"}
            for one in details["addresses"]
        ]
        hosts.append(details)
    return {
        "id": upstream["id"],
        "balancer_health": verdict,
        "health": _OFF if is_off else verdict,
        "details": {
            "healthy": is_healthy,
            "hosts": hosts,
            "weight": {"total": total, "available": available, "unavailable": total - available},
        },
    }
