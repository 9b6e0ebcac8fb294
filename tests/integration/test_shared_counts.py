"""Rate limits that several nodes count together, in a real Redis: shared, lost, slow, back again."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.certificates import Authority
from tests.conformance.proxy.raw_client import exchange
from tests.faults.relay import relay_to
from tests.integration.redis_server import RedisServer, redis_server
from tests.integration.shared_counting import ASK, PLAIN, config, patient_status, reasons, remaining, store
from tests.plugin_cases import eventually, gateway

from twinplane.control import declarative


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _within_a_month() -> None:
    """Counts begin anew at a midnight (UTC): a test waits where that is near."""
    left = 86_400 - time.time() % 86_400
    if left < 60:
        time.sleep(left + 0.1)


@pytest.fixture(autouse=True)
def _empty(redis: RedisServer) -> None:
    redis.ask("FLUSHALL")


def test_two_nodes_share_one_limit(redis: RedisServer) -> None:
    wanted = config(redis.port, year=4, month=4, redis={"database": 3})
    with gateway(wanted) as one, gateway(wanted) as other:
        told = [remaining(running.send(ASK)) for running in (one, other, one, other)]
        assert told == ["3", "2", "1", "0"]
        refused = one.send(ASK)
        assert refused.status == 429
        headers = dict(refused.headers)
        assert (headers["X-RateLimit-Limit-Year"], headers["RateLimit-Remaining"]) == ("4", "0")
        assert int(headers["Retry-After"]) > 0
        assert b"API rate limit exceeded" in refused.body
        assert one.received() is None
        # Others are counted by themselves.
        assert exchange({"text": ASK, "source": "127.0.0.9"}, other.node.port, context=None).status == 200
        kept = [key for key in redis.names(3) if ":year:" in key]
        assert sorted(redis.value(key, 3) for key in kept) == [1, 4]
        assert all(int(redis.ask("TTL", key, database=3).lstrip(":")) > 0 for key in redis.names(3))
        assert redis.names(0) == []
        assert not store(one)["is_in_trouble"]


def test_workers_and_nodes_together_pass_exactly_the_limit(redis: RedisServer) -> None:
    wanted = config(redis.port, year=50, redis={"host": "localhost"})
    with gateway(wanted, nginx_worker_processes="2") as one, gateway(wanted, nginx_worker_processes="2") as other:
        ports = [one.node.port, other.node.port]

        def ask(number: int) -> int | None:
            return exchange({"text": ASK}, ports[number % 2], context=None).status

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(ask, range(120)))
    assert (statuses.count(200), statuses.count(429)) == (50, 70)


def test_a_window_that_is_over_opens_again(redis: RedisServer) -> None:
    with gateway(config(redis.port, second=1, fault_tolerant=False)) as running:
        eventually(lambda: running.send(ASK).status == 429)
        eventually(lambda: running.send(ASK).status == 200)


def test_a_consumer_has_one_count_for_all_nodes_and_keys(redis: RedisServer) -> None:
    wanted = config(redis.port, year=3, limit_by="consumer")
    wanted["consumers"] = [
        {"username": "bob", "keyauth_credentials": [{"key": "k1"}, {"key": "k2"}]},
        {"username": "eve", "keyauth_credentials": [{"key": "k3"}]},
    ]
    wanted["plugins"] = [{"name": "key-auth"}]
    with gateway(wanted) as one, gateway(wanted) as other:
        asked = [(one, "k1"), (other, "k2"), (other, "k3"), (one, "k2"), (other, "k1")]
        told = [remaining(running.send(ASK.replace("a\r\n", f"a\r\napikey: {key}\r\n", 1))) for running, key in asked]
        assert told == ["2", "1", "2", "0", "0"]
    assert not any("bob" in name or "k1" in name for name in redis.names())


def test_a_forgotten_script_is_sent_again(redis: RedisServer) -> None:
    with gateway(config(redis.port, year=9, fault_tolerant=False)) as running:
        assert remaining(running.send(ASK)) == "8"
        redis.ask("SCRIPT", "FLUSH")
        assert [remaining(running.send(ASK)) for _ in range(2)] == ["7", "6"]


@pytest.mark.parametrize(("is_tolerant", "status"), [(True, 200), (False, 500)])
def test_a_store_that_is_away_is_heeded_as_the_plugin_says_until_it_is_back(is_tolerant: bool, status: int) -> None:
    with redis_server(starts=False) as server:
        wanted = config(server.port, year=9, fault_tolerant=is_tolerant)
        with gateway(wanted) as running:
            assert running.node.applied.issues == []
            for _ in range(2):
                answer = running.send(ASK)
                assert (answer.status, remaining(answer)) == (status, None)
            if not is_tolerant:
                assert json.loads(answer.body)["message"] == "An unexpected error occurred"
            assert running.send(PLAIN).status == 200
            assert store(running)["is_in_trouble"]
            for _ in range(2):
                server.start()
                eventually(lambda: remaining(running.send(ASK)) is not None)
                assert not store(running)["is_in_trouble"]
                server.stop()
                eventually(lambda: running.send(ASK).status == status and store(running)["is_in_trouble"])
                assert remaining(running.send(ASK)) is None
            assert reasons(running)["unreachable"] >= 2


def test_a_store_behind_a_way_that_swallows_is_lost_and_found(redis: RedisServer) -> None:
    with relay_to(redis.port) as relay:
        wanted = config(relay.port, year=9, fault_tolerant=False, redis={"timeout": 1000})
        with gateway(wanted, nginx_worker_processes="1") as running:
            eventually(lambda: remaining(running.send(ASK)) is not None)
            relay.swallow()
            assert patient_status(running) == 500
            assert reasons(running)["timed_out"] >= 1
            relay.heal()
            eventually(lambda: remaining(running.send(ASK)) is not None)


def test_who_may_count_is_proved_and_a_wrong_password_is_told() -> None:
    with redis_server(password="right") as server:
        server.ask(
            "ACL",
            "SETUSER",
            "gate",
            "on",
            ">own",
            "~twinplane:*",
            "+eval",
            "+evalsha",
            "+script|load",
            *["+get", "+incrby", "+expire"],
        )
        for place, left in [
            ({"password": "right"}, "8"),
            ({"username": "gate", "password": "own"}, "7"),
            ({"password": "wrong"}, None),
            ({}, None),
        ]:
            with gateway(config(server.port, year=9, redis=place)) as running:
                answer = running.send(ASK)
                assert (answer.status, remaining(answer)) == (200, left), place
                reason = store(running)["reason"]
                assert ("WRONGPASS" in reason or "NOAUTH" in reason) == (left is None)
                assert "wrong " not in json.dumps(store(running))


def test_tls_is_spoken_and_verified_where_that_is_asked_for(tmp_path: Any) -> None:
    authority = Authority("authority")
    trusted = tmp_path / "authority.pem"
    trusted.write_text(authority.certificate)
    with redis_server(leaf=authority.leaf("redis.test", is_client=False, names=("redis.test",))) as server:
        for place, settings, is_counted in [
            ({"ssl": True}, {}, True),
            ({"ssl": True, "ssl_verify": True, "server_name": "redis.test"}, {}, False),
            (
                {"ssl": True, "ssl_verify": True, "server_name": "redis.test"},
                {"lua_ssl_trusted_certificate": str(trusted)},
                True,
            ),
            (
                {"ssl": True, "ssl_verify": True, "server_name": "another.test"},
                {"lua_ssl_trusted_certificate": str(trusted)},
                False,
            ),
        ]:
            with gateway(config(server.port, year=9, redis=place), **settings) as running:
                answer = running.send(ASK)
                assert (answer.status, remaining(answer) is not None) == (200, is_counted), (place, store(running))


def test_counts_kept_here_are_told_to_the_store_and_learnt_from_it(redis: RedisServer) -> None:
    wanted = config(redis.port, year=20, sync_rate=0.05)
    with gateway(wanted) as one, gateway(wanted) as other:
        assert [remaining(one.send(ASK)) for _ in range(12)] == [str(left) for left in range(19, 7, -1)]
        (key,) = redis.names()
        eventually(lambda: redis.value(key) == 12)
        # A window that is new to a node is asked for once; the rest is counted there.
        assert [remaining(other.send(ASK)) for _ in range(8)] == [str(left) for left in range(7, -1, -1)]
        assert other.send(ASK).status == 429
        eventually(lambda: redis.value(key) == 20)
        # The first node hears of it when it tells of its next request.
        eventually(lambda: one.send(ASK).status == 429)
        eventually(lambda: redis.value(key) >= 21)
        assert redis.value(key) <= 28


def test_counts_go_on_here_while_the_store_is_away_and_are_told_once_it_is_back() -> None:
    with redis_server() as server, gateway(config(server.port, year=8, sync_rate=0.05)) as running:
        assert remaining(running.send(ASK)) == "7"
        server.stop()
        assert [remaining(running.send(ASK)) for _ in range(3)] == ["6", "5", "4"]
        server.start()
        eventually(lambda: [server.value(key) for key in server.names()] == [3])


def test_counts_begin_here_where_the_store_is_away_from_the_start() -> None:
    with redis_server(starts=False) as server:
        with gateway(config(server.port, year=2, sync_rate=1)) as running:
            assert [running.send(ASK).status for _ in range(3)] == [200, 200, 429]
        with gateway(config(server.port, year=2, sync_rate=1, fault_tolerant=False)) as running:
            assert running.send(ASK).status == 500


def test_what_was_counted_is_told_before_the_node_ends(redis: RedisServer) -> None:
    with gateway(config(redis.port, year=9, sync_rate=3600)) as running:
        assert [remaining(running.send(ASK)) for _ in range(4)] == ["8", "7", "6", "5"]
        running.node.core.stop(20_000)
    assert [redis.value(key) for key in redis.names()] == [4]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak the protocol"),
        (b"-ERR unknown command 'AUTH', with args beginning with: 'hush'\r\n", "does not take the password"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "LOADING"),
        (b"+OK\r\n+digest\r\n+and more\r\n", "not asked"),
        (b"", "closed"),
    ],
)
def test_a_server_that_is_no_store_is_told_of_and_harms_nobody(reply: bytes, told: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65_536)
                        connection.sendall(reply)
                        connection.shutdown(socket.SHUT_WR)
                        while connection.recv(65_536):
                            pass

        threading.Thread(target=serve, daemon=True).start()
        wanted = config(server.getsockname()[1], year=9, redis={"password": "hush"})
        with gateway(wanted) as running:
            answer = running.send(ASK)
            assert (answer.status, remaining(answer)) == (200, None)
            assert told in store(running)["reason"]
            assert "hush" not in json.dumps(store(running))
            assert running.send(PLAIN).status == 200
        server.shutdown(socket.SHUT_RDWR)


COSTLY = "HTTP/1.1 200 OK\r\nX-Kong-Limit: a=2, b=1\r\nContent-Length: 2\r\n\r\nok"
LIMITS = {"a": {"year": 5, "month": 5}, "b": {"year": 100}}


def test_costs_of_answers_count_for_all_nodes(redis: RedisServer) -> None:
    wanted = config(redis.port, plugin="response-ratelimiting", limits=LIMITS)
    with gateway(wanted) as one, gateway(wanted) as other:
        for running, left in ((one, "5"), (other, "3"), (one, "1")):
            answer = running.send(ASK, reply=COSTLY)
            headers = dict(answer.headers)
            assert (answer.status, headers["X-RateLimit-Remaining-a"]) == (200, left)
            assert headers["X-RateLimit-Remaining-a-year"] == str(max(int(left) - 2, 0))
            assert "X-Kong-Limit" not in headers
            # They are counted when the answer has gone.
            spent = 7 - int(left)
            eventually(lambda spent=spent: sum(map(redis.value, redis.names())) == spent * 5 // 2)
        eventually(lambda: sorted(redis.value(key) for key in redis.names()) == [3, 6, 6])
        stopped = other.send(ASK, reply=COSTLY)
        assert (stopped.status, stopped.body) == (429, b"")
        assert other.received() is not None


def test_a_spent_cost_blocks_before_the_upstream_is_asked_on_every_node(redis: RedisServer) -> None:
    limits = {"a": {"year": 2}}
    wanted = config(redis.port, plugin="response-ratelimiting", limits=limits, block_on_first_violation=True)
    with gateway(wanted) as one, gateway(wanted) as other:
        assert one.send(ASK, reply=COSTLY).status == 200
        eventually(lambda: [redis.value(key) for key in redis.names()] == [2])
        refused = other.send(ASK, reply=COSTLY)
        assert refused.status == 429
        assert b"API rate limit exceeded for 'a'" in refused.body
        assert other.received() is None


@pytest.mark.parametrize(("is_tolerant", "status"), [(True, 200), (False, 500)])
def test_costs_that_cannot_be_counted_are_heeded_as_the_plugin_says(is_tolerant: bool, status: int) -> None:
    with redis_server(starts=False) as server:
        wanted = config(server.port, plugin="response-ratelimiting", limits=LIMITS, fault_tolerant=is_tolerant)
        with gateway(wanted) as running:
            answer = running.send(ASK, reply=COSTLY)
            assert answer.status == status
            names = {name.lower() for name, _ in answer.headers}
            assert not any(name.startswith("x-ratelimit") or name == "x-kong-limit" for name in names)


def test_another_configuration_goes_on_counting_and_an_unused_store_is_let_go(redis: RedisServer) -> None:
    with gateway(config(redis.port, year=9)) as running:
        assert remaining(running.send(ASK)) == "8"
        running.node.core.apply(running.node.table)
        assert remaining(running.send(ASK)) == "7"
        empty = declarative.load({"_format_version": "3.0"}, now=time.time(), flavor="traditional_compatible")
        running.node.core.apply(empty.json())
        eventually(lambda: json.loads(running.node.core.drain("counter_stores")) == [])
        eventually(lambda: redis.ask("CLIENT", "LIST").count(" addr=") == 1)
