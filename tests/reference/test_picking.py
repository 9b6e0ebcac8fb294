"""The engine picks the peers of the plain statement, and thinks of them as it does."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import picking
from tests.reference.deciding import Engine

PEERS = st.lists(
    st.fixed_dictionaries(
        {
            "target": st.integers(0, 3),
            "host": st.sampled_from(["a.test", "b.test", "c.test"]),
            "address": st.integers(1, 9).map("10.0.0.{}".format),
            "port": st.sampled_from([80, 8080]),
            "weight": st.sampled_from([0, 1, 2, 3, 10, 50, 100, 100, 150]),
            "is_failover": st.sampled_from([False, False, False, True]),
            "is_healthy": st.sampled_from([True, True, True, False]),
        }
    ),
    max_size=6,
    unique_by=lambda peer: (peer["address"], peer["port"]),
)
ASKS = st.lists(
    st.fixed_dictionaries(
        {
            "tried": st.lists(st.integers(0, 5), max_size=3),
            "hash": st.none() | st.integers(0, 2**32 - 1),
            "sticks_to": st.none() | st.integers(0, 5),
            "after_us": st.sampled_from([0, 1_000, 700_000, 700_000, 4_000_000, 40_000_000]),
            "ends": st.none() | st.integers(0, 20),
            "took_us": st.none() | st.sampled_from([900, 8_100, 72_900, 656_100]),
        }
    ),
    max_size=40,
)
ALGORITHMS = ("round-robin", "consistent-hashing", "least-connections", "latency", "sticky-sessions")


def _timed(asks: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The asks at times that rise, naming only peers that there are."""
    now_us, timed = 1_000_000, []
    for ask in asks:
        now_us += ask["after_us"]
        sticks_to = ask["sticks_to"] if ask["sticks_to"] is not None and ask["sticks_to"] < count else None
        tried = [index for index in ask["tried"] if index < count]
        timed.append({**ask, "now_us": now_us, "sticks_to": sticks_to, "tried": tried})
    return timed


@settings(settings.get_profile("reference"), max_examples=400)
@given(
    st.sampled_from(ALGORITHMS),
    st.integers(0, 2**64 - 1),
    st.sampled_from([10, 1000, 10000]),
    st.sampled_from([0, 0, 0, 33, 50, 99]),
    st.sampled_from([None, None, 3.0]),
    PEERS,
    ASKS,
)
def test_peers_are_picked_as_the_plain_statement_says(
    engine: Engine,
    algorithm: str,
    seed: int,
    slots: int,
    threshold: float,
    slow_factor: float | None,
    peers: list[dict[str, Any]],
    asks: list[dict[str, Any]],
) -> None:
    asks = _timed(asks, len(peers))
    answer = engine.decide(
        "pick",
        algorithm=algorithm,
        seed=seed,
        slots=slots,
        threshold_percent=threshold,
        slow_factor=slow_factor,
        peers=peers,
        asks=[{name: value for name, value in ask.items() if name != "after_us"} for ask in asks],
    )
    balancer = picking.Balancer(algorithm, seed, slots, threshold, slow_factor, peers)
    samples = algorithm == "latency" or slow_factor is not None
    for at, (ask, picked) in enumerate(zip(asks, answer, strict=True)):
        ended = answer[ask["ends"]] if ask["ends"] is not None and ask["ends"] < at else None
        if ended is not None:
            balancer.end(ended, ask["took_us"] if samples else None, ask["now_us"])
        assert picked in (balancer.pick(ask) or {None}), (at, ask)
        if picked is not None:
            balancer.load[picked].active += 1


@settings(settings.get_profile("reference"))
@given(
    st.fixed_dictionaries(dict.fromkeys(picking.KINDS, st.integers(0, 4))),
    st.lists(st.sampled_from([*picking.KINDS, *picking.KINDS, "put_in", "put_out"]), max_size=60),
)
def test_reports_change_the_state_as_the_plain_statement_says(
    engine: Engine, limits: dict[str, int], reports: list[str]
) -> None:
    health = picking.Health(limits)
    wanted = [health.report(report) for report in reports]
    answer = engine.decide(
        "health",
        successes=limits["success"],
        http_failures=limits["http_failure"],
        tcp_failures=limits["tcp_failure"],
        timeouts=limits["timeout"],
        reports=reports,
    )
    assert answer == wanted
