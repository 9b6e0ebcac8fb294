"""Which peer a request goes to, stated plainly, and how reports change what is thought of a peer."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

WORD = 0xFFFFFFFF
LONG = 0xFFFFFFFFFFFFFFFF


@dataclass(slots=True)
class Balancer:
    """The balancer of one worker."""

    algorithm: str
    seed: int
    slots: int
    threshold_percent: float
    peers: list[dict[str, Any]]
    turn: int = 0
    places: list[int] = field(default_factory=list)
    active: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        weights = [peer["weight"] for peer in self.peers]
        divisor = math.gcd(*weights) or 1
        self.places = [index for index, weight in enumerate(weights) for _ in range(weight // divisor)]
        shuffle(self.places, self.seed)
        self.active = dict.fromkeys(range(len(self.peers)), 0)

    def pick(self, tried: list[int], hashed: int | None) -> int | None:
        """A peer that is in and untried; where all are tried, one that is in."""
        weights = {index: peer["weight"] for index, peer in enumerate(self.peers)}
        usable = {index for index, peer in enumerate(self.peers) if peer["is_healthy"] and weights[index]}
        share = sum(weights[index] for index in usable) / max(sum(weights.values()), 1) * 100
        if self.threshold_percent > 0 and share <= self.threshold_percent:
            return None
        places_tried = {(self.peers[index]["address"], self.peers[index]["port"]) for index in tried}
        untried = {i for i in usable if (self.peers[i]["address"], self.peers[i]["port"]) not in places_tried}
        return self._choose(untried or usable, hashed)

    def _choose(self, usable: set[int], hashed: int | None) -> int | None:
        if not usable:
            return None
        if self.algorithm == "consistent-hashing" and hashed is not None:
            return self._on_the_ring(usable, hashed)
        if self.algorithm == "least-connections":
            loads = {i: (self.active[i] + 1) / self.peers[i]["weight"] for i in usable}
            least = min(loads.values())
            usable = {i for i in usable if math.isclose(loads[i], least)}
        return self._by_turn(usable.__contains__)

    def _by_turn(self, is_usable: Callable[[int], bool]) -> int | None:
        for step in range(len(self.places)):
            place = (self.turn + step) % len(self.places)
            if is_usable(self.places[place]):
                self.turn = (place + 1) % len(self.places)
                return self.places[place]
        return None

    def _on_the_ring(self, usable: set[int], hashed: int) -> int | None:
        length = max(self.slots, 1000)
        owners = self.ring(length)
        downwards = ((hashed % length - step) % length for step in range(length))
        return next((owners[point] for point in downwards if owners.get(point) in usable), None)

    def ring(self, length: int) -> dict[int, int]:
        """Who owns which point: each peer as many as its weight is worth."""
        total = sum(peer["weight"] for peer in self.peers)
        targets = len({peer["target"] for peer in self.peers})
        owners: dict[int, int] = {}
        for index, peer in sorted(enumerate(self.peers), key=lambda each: by_name(each[1])):
            wanted = max(peer["weight"] * targets * 160 // max(total, 1), 1) if peer["weight"] else 0
            number = 1
            while wanted and number <= 4 * length and len(owners) < length:
                point = xxhash32(f"{peer['address']}::{peer['port']} {number}".encode()) % length
                if point not in owners:
                    owners[point] = index
                    wanted -= 1
                number += 1
        return owners


def by_name(peer: dict[str, Any]) -> tuple[str, int, int]:
    """Peers in the order that every node has them in."""
    return peer["host"], peer["port"], int(ipaddress.ip_address(peer["address"]))


def shuffle(places: list[int], seed: int) -> None:
    """Fisher and Yates, with the numbers of splitmix64."""
    state = seed
    for end in range(len(places) - 1, 0, -1):
        state = (state + 0x9E3779B97F4A7C15) & LONG
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & LONG
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & LONG
        other = (mixed ^ (mixed >> 31)) % (end + 1)
        places[end], places[other] = places[other], places[end]


def xxhash32(data: bytes) -> int:
    """XXH32 with seed 0."""
    p1, p2, p3, p4, p5 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1

    def turned(value: int, by: int) -> int:
        return ((value << by) | (value >> (32 - by))) & WORD

    def word(at: int) -> int:
        return int.from_bytes(data[at : at + 4], "little")

    at = 0
    if len(data) >= 16:
        lanes = [(p1 + p2) & WORD, p2, 0, -p1 & WORD]
        while at + 16 <= len(data):
            for lane in range(4):
                lanes[lane] = turned((lanes[lane] + word(at + 4 * lane) * p2) & WORD, 13) * p1 & WORD
            at += 16
        value = sum(turned(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & WORD
    else:
        value = p5
    value = (value + len(data)) & WORD
    while at + 4 <= len(data):
        value = turned((value + word(at) * p3) & WORD, 17) * p4 & WORD
        at += 4
    for byte in data[at:]:
        value = turned((value + byte * p5) & WORD, 11) * p1 & WORD
    value = (value ^ (value >> 15)) * p2 & WORD
    value = (value ^ (value >> 13)) * p3 & WORD
    return value ^ (value >> 16)


@dataclass(slots=True)
class Health:
    """What is thought of one peer."""

    limits: dict[str, int]
    state: str = "healthy"
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))

    def report(self, kind: str) -> str:
        """The state after a report; by hand it is set outright."""
        if kind in ("put_in", "put_out"):
            self.state = "healthy" if kind == "put_in" else "unhealthy"
            self.counts = dict.fromkeys(KINDS, 0)
            return self.state
        said = "healthy" if kind == "success" else "unhealthy"
        if self.limits[kind] == 0 or self.state == said:
            return self.state
        for other in KINDS:
            if (other == "success") != (kind == "success"):
                self.counts[other] = 0
        self.counts[kind] += 1
        if self.counts[kind] >= self.limits[kind]:
            self.state = said
        elif not self.state.startswith("mostly"):
            self.state = f"mostly_{self.state}"
        return self.state


KINDS = ("success", "http_failure", "tcp_failure", "timeout")
