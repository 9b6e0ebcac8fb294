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
    slow_factor: float | None
    peers: list[dict[str, Any]]
    wheels: dict[bool, Wheel] = field(init=False)
    load: list[Load] = field(init=False)

    def __post_init__(self) -> None:
        self.wheels = {kind: Wheel(self._weights(kind), self.seed) for kind in (False, True)}
        self.load = [Load() for _ in self.peers]

    def pick(self, ask: dict[str, Any]) -> set[int]:
        """The peers that may get the request: one, but for two that answer about as fast. See `took`."""
        kind = self._stands_in()
        places_tried = {(self.peers[index]["address"], self.peers[index]["port"]) for index in ask["tried"]}
        usable = {i for i, peer in enumerate(self.peers) if peer["is_failover"] is kind and self._is_in(peer)}
        untried = {i for i in usable if (self.peers[i]["address"], self.peers[i]["port"]) not in places_tried}
        quick = {i for i in untried if self.load[i].rests_until <= ask["now_us"]}
        for wanted in (quick, untried, usable):
            if wanted:
                return self._choose(wanted, ask, self.wheels[kind])
        return set()

    def end(self, index: int, took_us: int | None, now_us: int) -> None:
        """A request is over; `took_us`: from the attempt to the head of an answer."""
        load = self.load[index]
        load.active = max(load.active - 1, 0)
        if took_us is None:
            return
        load.sample(took_us, now_us)
        if self.slow_factor is not None and self._is_slow(index, now_us):
            load.rests_until, load.samples = now_us + PAUSE_US, 0

    def _is_slow(self, index: int, now_us: int) -> bool:
        own = self.load[index].average_at(now_us)
        resting = sum(load.rests_until > now_us for load in self.load)
        others = sorted(
            average
            for other, load in enumerate(self.load)
            if other != index and (average := load.average_at(now_us)) is not None
        )
        if own is None or not others or self.load[index].samples < 5 or (resting + 1) * 2 > len(self.peers):
            return False
        median = others[len(others) // 2]
        assert self.slow_factor is not None
        return own > median * self.slow_factor and own - median > 10_000

    def _weights(self, kind: bool) -> list[int]:
        return [peer["weight"] if peer["is_failover"] is kind else 0 for peer in self.peers]

    def _is_in(self, peer: dict[str, Any]) -> bool:
        return bool(peer["is_healthy"] and peer["weight"])

    def _stands_in(self) -> bool:
        """Whether failover peers serve: the others are down, or too many of them."""
        own = [peer for peer in self.peers if not peer["is_failover"]]
        available = sum(peer["weight"] for peer in own if peer["is_healthy"])
        return available / max(sum(peer["weight"] for peer in own), 1) * 100 <= self.threshold_percent

    def _choose(self, usable: set[int], ask: dict[str, Any], wheel: Wheel) -> set[int]:
        held = ask["sticks_to"]
        if self.algorithm == "sticky-sessions" and held in usable:
            return {held}
        if self.algorithm == "consistent-hashing" and ask["hash"] is not None:
            return self._on_the_ring(usable, ask["hash"])
        if self.algorithm == "least-connections":
            loads = {i: (self.load[i].active + 1) / self.peers[i]["weight"] for i in usable}
            least = min(loads.values())
            usable = {i for i in usable if math.isclose(loads[i], least)}
        if self.algorithm == "latency":
            return self._faster(sorted(usable), wheel, ask["now_us"])
        return {wheel.next(usable.__contains__)}

    def _faster(self, usable: list[int], wheel: Wheel, now_us: int) -> set[int]:
        """Of two drawn at random the faster one for its weight; of one, that one."""
        if len(usable) < 2:
            return set(usable)
        first = wheel.draw() % len(usable)
        second = (first + 1 + wheel.draw() % (len(usable) - 1)) % len(usable)
        self._level(now_us)
        slowness = {i: (self.load[i].average_at(now_us) or 0) / self.peers[i]["weight"] for i in usable}
        one, two = usable[first], usable[second]
        if slowness[one] == slowness[two]:
            return {one}
        # The engine counts in single precision: so near to each other, either will do.
        if math.isclose(slowness[one], slowness[two], rel_tol=1e-3):
            return {one, two}
        return {min(one, two, key=slowness.__getitem__)}

    def _level(self, now_us: int) -> None:
        """Peers that have not answered yet begin at the average of those that have."""
        known = [average for load in self.load if (average := load.average_at(now_us)) is not None]
        for load in self.load:
            if known and load.average is None:
                load.average, load.at_ms = sum(known) / len(known), now_us // 1000

    def _on_the_ring(self, usable: set[int], hashed: int) -> set[int]:
        length = max(self.slots, 1000)
        owners = self.ring(length, self.peers[next(iter(usable))]["is_failover"])
        downwards = ((hashed % length - step) % length for step in range(length))
        return {next(owners[point] for point in downwards if owners.get(point) in usable)}

    def ring(self, length: int, kind: bool) -> dict[int, int]:
        """Who owns which point: each peer as many as its weight is worth."""
        members = [(index, peer) for index, peer in enumerate(self.peers) if peer["is_failover"] is kind]
        total = sum(peer["weight"] for _, peer in members)
        targets = len({peer["target"] for _, peer in members})
        owners: dict[int, int] = {}
        for index, peer in sorted(members, key=lambda each: by_name(each[1])):
            wanted = max(peer["weight"] * targets * 160 // max(total, 1), 1) if peer["weight"] else 0
            number = 1
            while wanted and number <= 4 * length and len(owners) < length:
                point = xxhash32(f"{peer['address']}::{peer['port']} {number}".encode()) % length
                if point not in owners:
                    owners[point] = index
                    wanted -= 1
                number += 1
        return owners


PAUSE_US = 30_000_000


@dataclass(slots=True)
class Load:
    """How busy a peer is, how fast it answers, whether it rests for being slow."""

    active: int = 0
    average: float | None = None
    at_ms: int = 0
    samples: int = 0
    rests_until: int = 0

    def sample(self, took_us: int, now_us: int) -> None:
        """The average moves towards what was measured, the further the longer the last time is past."""
        share = 0.0 if self.average is None else math.exp(-(now_us // 1000 - self.at_ms) / 10_000)
        self.average = (self.average or 0.0) * share + took_us * (1 - share)
        self.at_ms = now_us // 1000
        self.samples += 1

    def average_at(self, now_us: int) -> float | None:
        """It fades with time."""
        return None if self.average is None else self.average * math.exp(-(now_us // 1000 - self.at_ms) / 10_000)


class Wheel:
    """Places by weight, shuffled once; their order is the turns."""

    def __init__(self, weights: list[int], seed: int) -> None:
        divisor = math.gcd(*weights) or 1
        self.places = [index for index, weight in enumerate(weights) for _ in range(weight // divisor)]
        shuffle(self.places, seed)
        self.turn = 0
        self._random = seed

    def next(self, is_usable: Callable[[int], bool]) -> int:
        """The next usable peer; its turn is then over."""
        for step in range(len(self.places)):
            place = (self.turn + step) % len(self.places)
            if is_usable(self.places[place]):
                self.turn = (place + 1) % len(self.places)
                return self.places[place]
        raise AssertionError("a usable peer has a place")

    def draw(self) -> int:
        """A random number."""
        self._random, drawn = splitmix64(self._random)
        return drawn


def by_name(peer: dict[str, Any]) -> tuple[str, int, int]:
    """Peers in the order that every node has them in."""
    return peer["host"], peer["port"], int(ipaddress.ip_address(peer["address"]))


def shuffle(places: list[int], seed: int) -> None:
    """Fisher and Yates, with the numbers of splitmix64."""
    state = seed
    for end in range(len(places) - 1, 0, -1):
        state, drawn = splitmix64(state)
        other = drawn % (end + 1)
        places[end], places[other] = places[other], places[end]


def splitmix64(state: int) -> tuple[int, int]:
    """The next state and the number that comes of it."""
    state = (state + 0x9E3779B97F4A7C15) & LONG
    mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & LONG
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & LONG
    return state, mixed ^ (mixed >> 31)


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
