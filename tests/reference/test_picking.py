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
            "ends": st.none() | st.integers(0, 20),
        }
    ),
    max_size=30,
)


@settings(settings.get_profile("reference"), max_examples=250)
@given(
    st.sampled_from(["round-robin", "consistent-hashing", "least-connections"]),
    st.integers(0, 2**64 - 1),
    st.sampled_from([10, 1000, 10000]),
    st.sampled_from([0, 0, 0, 33, 50, 99]),
    PEERS,
    ASKS,
)
def test_peers_are_picked_as_the_plain_statement_says(
    engine: Engine,
    algorithm: str,
    seed: int,
    slots: int,
    threshold: float,
    peers: list[dict[str, Any]],
    asks: list[dict[str, Any]],
) -> None:
    asks = [ask | {"tried": [index for index in ask["tried"] if index < len(peers)]} for ask in asks]
    answer = engine.decide(
        "pick", algorithm=algorithm, seed=seed, slots=slots, threshold_percent=threshold, peers=peers, asks=asks
    )
    balancer = picking.Balancer(algorithm, seed, slots, threshold, peers)
    picked: list[int | None] = []
    for ask in asks:
        ended = picked[ask["ends"]] if ask["ends"] is not None and ask["ends"] < len(picked) else None
        if ended is not None:
            balancer.active[ended] = max(balancer.active[ended] - 1, 0)
        chosen = balancer.pick(ask["tried"], ask["hash"])
        if chosen is not None:
            balancer.active[chosen] += 1
        picked.append(chosen)
    assert answer == picked


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
