"""The link of a node to the store of its limits, tried with a stand-in for the store: it needs no redis-server."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest
from tests.integration.resp_server import resp_server
from tests.integration.shared_counting import ASK, PLAIN, config, patient_status, reasons, remaining, store
from tests.plugin_cases import Gateway, eventually, gateway

PASSWORD = "correct-horse-battery-staple-" * 8


def counting_gateway(port: int) -> AbstractContextManager[Gateway]:
    """One worker, and so one link; requests fail that cannot be counted."""
    return gateway(config(port, year=9, fault_tolerant=False), nginx_worker_processes="1")


def test_requests_are_counted_as_who_and_where_the_plugin_says() -> None:
    place = {"username": "gate", "password": PASSWORD, "database": 3}
    with resp_server() as server, gateway(config(server.port, year=2, redis=place)) as running:
        assert [remaining(running.send(ASK)) for _ in range(2)] == ["1", "0"]
        assert running.send(ASK).status == 429
        assert list(server.counts.values()) == [2]
        assert server.commands[:2] == [["AUTH", "gate", PASSWORD], ["SELECT", "3"]]
        assert reasons(running) == {}


def test_a_forgotten_script_is_sent_again() -> None:
    with resp_server() as server, counting_gateway(server.port) as running:
        assert remaining(running.send(ASK)) == "8"
        server.forget()
        assert [remaining(running.send(ASK)) for _ in range(2)] == ["7", "6"]
        assert server.asked("EVAL") == 1
        assert reasons(running) == {}


def test_a_store_that_goes_away_and_comes_back_is_told_of() -> None:
    with resp_server(starts=False) as server, counting_gateway(server.port) as running:
        assert running.send(ASK).status == 500
        assert store(running)["is_in_trouble"]
        reason = store(running)["reason"]
        # Who asks meanwhile is told the same at once.
        failures = store(running)["failures"]
        assert [running.send(ASK).status for _ in range(3)] == [500, 500, 500]
        assert store(running)["failures"] >= failures + 3
        assert store(running)["reason"] == reason != ""
        assert reasons(running)["unreachable"] >= 4
        server.start()
        eventually(lambda: remaining(running.send(ASK)) == "8")
        assert not store(running)["is_in_trouble"]
        server.stop()
        eventually(lambda: running.send(ASK).status == 500 and store(running)["is_in_trouble"])


@pytest.mark.parametrize(
    "error", ["-OOM command not allowed when used memory > 'maxmemory'.", "-WRONGTYPE Operation against a key", "+odd"]
)
def test_one_refusal_is_a_failure_and_not_the_loss_of_the_store(error: str) -> None:
    with resp_server() as server, counting_gateway(server.port) as running:
        assert remaining(running.send(ASK)) == "8"
        server.instead["EVALSHA"] = error
        assert [running.send(ASK).status for _ in range(2)] == [500, 500]
        found = store(running)
        assert (found["is_in_trouble"], found["failures"]) == (False, 2)
        assert reasons(running) == {"refused": 2}
        del server.instead["EVALSHA"]
        assert remaining(running.send(ASK)) == "7"
        assert server.connections_total == 1


@pytest.mark.parametrize(
    "error",
    [
        "-READONLY You can't write against a read only replica. script: 5b, on @user_script:11.",
        "-ERR Error running script (call to f_5b): @user_script:11: -READONLY You can't write against it",
        "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "-LOADING Redis is loading the dataset in memory",
    ],
)
def test_a_server_that_cannot_count_for_now_is_left_and_looked_for_anew(error: str) -> None:
    with resp_server() as server, counting_gateway(server.port) as running:
        assert remaining(running.send(ASK)) == "8"
        server.instead["EVALSHA"] = error
        assert running.send(ASK).status == 500
        assert store(running)["is_in_trouble"]
        # Another may stand behind the same name by now. That it lets the node in proves nothing yet.
        eventually(lambda: server.asked("SCRIPT") >= 2)
        eventually(lambda: running.send(ASK).status == 500 and server.asked("EVALSHA") >= 3)
        assert store(running)["is_in_trouble"]
        del server.instead["EVALSHA"]
        eventually(lambda: remaining(running.send(ASK)) == "7")
        assert not store(running)["is_in_trouble"]


def test_a_doubted_server_that_nobody_asks_is_trusted_in_the_end() -> None:
    with resp_server() as server, counting_gateway(server.port) as running:
        server.instead["EVALSHA"] = "-READONLY You can't write against a read only replica."
        assert running.send(ASK).status == 500
        assert store(running)["is_in_trouble"]
        eventually(lambda: not store(running)["is_in_trouble"], within_s=60)
        assert server.asked("EVALSHA") == 1


def test_no_part_of_a_password_is_told() -> None:
    with resp_server() as server:
        server.instead["AUTH"] = f"-ERR unknown command 'AUTH', with args beginning with: '{PASSWORD[:100]}"
        with gateway(config(server.port, year=9, redis={"password": PASSWORD})) as running:
            answer = running.send(ASK)
            assert (answer.status, remaining(answer)) == (200, None)
            assert store(running)["reason"] == "it does not take the password (ERR)"
            assert "horse" not in json.dumps(json.loads(running.node.core.drain("metrics")))


def test_many_counters_are_read_in_one_answer() -> None:
    windows = dict.fromkeys(("second", "minute", "hour", "day", "month", "year"), 9)
    limits = {f"counter-{number}": windows for number in range(171)}
    with resp_server() as server:
        wanted = config(server.port, plugin="response-ratelimiting", limits=limits, hide_client_headers=True)
        with gateway(wanted) as running:
            costly = "HTTP/1.1 200 OK\r\nX-Kong-Limit: counter-7=2\r\nContent-Length: 2\r\n\r\nok"
            assert running.send(ASK, reply=costly).status == 200
            eventually(lambda: sorted(server.counts.values()) == [2] * 6)
            asked = max(int(command[2]) for command in list(server.commands) if command[0] == "EVALSHA")
            assert asked == 171 * 6
            assert reasons(running) == {}


def test_who_waits_for_a_silent_store_holds_up_nobody_and_is_bounded() -> None:
    with resp_server() as server:
        wanted = config(server.port, year=9, fault_tolerant=False, redis={"timeout": 50_000})
        with gateway(wanted, nginx_worker_processes="1", rate_limit_redis_waiting="1") as running:
            assert remaining(running.send(ASK)) == "8"
            server.hush()
            with ThreadPoolExecutor(1) as pool:
                slow = pool.submit(patient_status, running)
                # It waits once its command is there.
                eventually(lambda: server.asked("EVALSHA") == 2)
                assert running.send(PLAIN).status == 200
                assert [patient_status(running) for _ in range(2)] == [500, 500]
                assert reasons(running) == {"full": 2}
                assert not store(running)["is_in_trouble"]
                server.speak()
                assert slow.result() == 200
            assert remaining(running.send(ASK)) == "6"


def test_a_silent_store_costs_its_timeout_and_is_lost_until_it_speaks() -> None:
    with resp_server() as server:
        wanted = config(server.port, year=9, fault_tolerant=False, redis={"timeout": 1000})
        with gateway(wanted, nginx_worker_processes="1") as running:
            eventually(lambda: remaining(running.send(ASK)) is not None)
            server.hush()
            assert patient_status(running) == 500
            assert store(running)["is_in_trouble"]
            assert reasons(running)["timed_out"] >= 1
            server.speak()
            eventually(lambda: remaining(running.send(ASK)) is not None)
            assert not store(running)["is_in_trouble"]
