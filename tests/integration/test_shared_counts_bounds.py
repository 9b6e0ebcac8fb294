"""What nodes count together when costs are beyond bounds, a store stays silent, or a plugin goes: in a real Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.faults.relay import relay_to
from tests.integration.redis_server import RedisServer, redis_server
from tests.plugin_cases import Gateway, eventually, gateway

from twinplane.control import declarative

ASK = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MOST = 2**53


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _empty(redis: RedisServer) -> None:
    # Windows begin anew at a midnight (UTC): a test waits where that is near.
    left = 86_400 - time.time() % 86_400
    if left < 60:
        time.sleep(left + 0.1)
    redis.ask("FLUSHALL")


def config(port: int, plugin: str, **own: Any) -> dict[str, Any]:
    redis = {"host": "127.0.0.1", "port": port, "timeout": 20_000, **own.pop("redis", {})}
    limited = {"name": plugin, "config": {"policy": "redis", "limit_by": "ip", "redis": redis, **own}}
    service = {
        "name": "s",
        "url": "http://127.0.0.1:<echo-port>",
        "routes": [{"name": "limited", "paths": ["/"], "plugins": [limited]}],
    }
    return {"_format_version": "3.0", "services": [service]}


def counted(running: Gateway, name: str) -> int:
    series = json.loads(running.node.core.drain("metrics"))["prometheus"]
    return sum(int(one["value"]) for one in series if one["name"] == name)


def test_costs_beyond_all_bounds_are_counted_in_every_window(redis: RedisServer) -> None:
    limits = {"audio": {"year": MOST}, "video": {"month": MOST, "year": MOST}}
    reply = "HTTP/1.1 200 OK\r\nX-Kong-Limit: audio={}, video=1e30\r\nContent-Length: 2\r\n\r\nok"
    with gateway(config(redis.port, "response-ratelimiting", limits=limits)) as running:
        assert running.send(ASK, reply=reply.format(5)).status == 200
        eventually(lambda: sorted(map(redis.value, redis.names())) == [5, MOST, MOST])
        # Another node had seen room for it and counts as much again.
        for key in redis.names():
            redis.ask("SET", key, str(MOST - 3))
        assert running.send(ASK, reply=reply.format(1)).status == 200
        eventually(lambda: sorted(map(redis.value, redis.names())) == [MOST - 2, MOST, MOST])
        (found,) = json.loads(running.node.core.drain("counter_stores"))
        assert (found["is_in_trouble"], found["failures"]) == (False, 0)


def test_what_a_silent_store_may_have_counted_is_not_told_again(redis: RedisServer) -> None:
    with relay_to(redis.port) as relay:
        place = {"timeout": 2_000}
        wanted = config(relay.port, "rate-limiting", year=50, sync_rate=0.05, redis=place, fault_tolerant=False)
        with gateway(wanted) as running:
            eventually(lambda: running.send(ASK).status == 200)
            (key,) = redis.names()
            relay.swallow()
            assert running.send(ASK).status == 200
            eventually(lambda: counted(running, "twinplane_counter_store_counts_lost_total") == 1)
            relay.heal()
            before = redis.value(key)
            # What is counted here next is told alone.
            eventually(lambda: running.send(ASK).status == 200 and redis.value(key) > before)
            assert counted(running, "twinplane_counter_store_counts_lost_total") == 1


def test_what_was_counted_is_told_when_no_configuration_names_the_plugin_any_more(redis: RedisServer) -> None:
    with gateway(config(redis.port, "rate-limiting", year=9, sync_rate=3600)) as running:
        # The first is asked for, and the first visit comes at once.
        assert [running.send(ASK).status for _ in range(4)] == [200] * 4
        empty = declarative.load({"_format_version": "3.0"}, now=time.time(), flavor="traditional_compatible")
        running.node.core.apply(empty.json())

        def told() -> bool:
            # A node looks into its core several times a second; what no request needs any more is let go of then.
            running.node.core.drain("logs")
            return [redis.value(key) for key in redis.names()] == [4]

        eventually(told)
        eventually(lambda: json.loads(running.node.core.drain("counter_stores")) == [])
