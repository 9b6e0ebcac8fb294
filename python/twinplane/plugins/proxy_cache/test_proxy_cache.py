"""proxy-cache through a real gateway: its vectors, the example of its page, its times, its bound, and many at once."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest
from tests.plugin_cases import Gateway, VectorCase, check_example, eventually, gateway, play, vector_cases

CONFIG = """
_format_version: "3.0"
services:
  - name: s
    url: http://127.0.0.1:<echo-port>
    routes: [{name: r, paths: [/]}]
    plugins:
      - name: proxy-cache
        config: {strategy: memoryMORE}
"""


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


def reply(body: str, more: str = "") -> str:
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}"


def status(running: Gateway, path: str = "/", body: str = "{}", headers: str = "", more: str = "") -> str:
    answer = running.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n", reply=reply(body, more))
    assert answer.status == 200
    return dict(answer.headers)["X-Cache-Status"]


def cache(running: Gateway) -> dict[str, int]:
    found: dict[str, int] = orjson.loads(running.node.core.drain("metrics"))["cache"]
    return found


def until(running: Gateway, wanted: str, headers: str = "") -> None:
    """Ask until a kept answer is found to be `wanted`; as long as it is not, it is a hit."""
    seen: list[str] = []

    def ask() -> bool:
        seen.append(status(running, headers=headers))
        return seen[-1] == wanted

    eventually(ask)
    assert set(seen[:-1]) <= {"Hit"}


def test_an_answer_that_is_over_is_gone() -> None:
    with gateway(CONFIG.replace("MORE", ", cache_ttl: 1")) as running:
        assert status(running) == "Miss"
        until(running, "Miss")


def test_one_that_stays_longer_than_it_is_fresh_is_refreshed() -> None:
    with gateway(CONFIG.replace("MORE", ", cache_ttl: 1, storage_ttl: 600")) as running:
        assert status(running) == "Miss"
        until(running, "Refresh")
        assert status(running) == "Hit"


def test_a_stale_answer_is_given_to_whom_it_will_do() -> None:
    with gateway(CONFIG.replace("MORE", ", cache_control: true, storage_ttl: 600")) as running:
        assert status(running, more="Cache-Control: max-age=1\r\n") == "Miss"

        def is_stale() -> bool:
            answer = running.send("GET / HTTP/1.1\r\nHost: a\r\nCache-Control: max-stale\r\n\r\n")
            headers = dict(answer.headers)
            assert headers["X-Cache-Status"] == "Hit"
            return int(headers["age"]) >= 2

        eventually(is_stale)
        assert status(running, headers="Cache-Control: max-age=1\r\n") == "Bypass", "what came has no age"
        assert status(running) == "Bypass"


def test_consumers_do_not_see_each_others_answers() -> None:
    config = CONFIG.replace("MORE", "").replace(
        "    plugins:\n", "    plugins:\n      - {name: key-auth, config: {hide_credentials: true}}\n"
    )
    config += "consumers:\n  - {username: bob, keyauth_credentials: [{key: k1}, {key: k2}]}\n"
    config += "  - {username: al, keyauth_credentials: [{key: k3}]}\n"
    with gateway(config) as running:
        asked = [status(running, headers=f"apikey: {key}\r\n") for key in ("k1", "k2", "k3", "k3")]
    assert asked == ["Miss", "Hit", "Miss", "Hit"]


def test_what_is_kept_is_bounded_and_what_has_to_go_is_counted() -> None:
    body = '"' + "x" * 4_094 + '"'
    with gateway(CONFIG.replace("MORE", ""), mem_cache_size="256k") as running:
        for number in range(120):
            assert status(running, f"/{number}", body) == "Miss"
        facts = cache(running)
        assert 0 < facts["bytes"] <= 256 * 1024
        assert facts["evicted"] == 120 - facts["entries"] > 0
        # Larger than a sixteenth.
        assert status(running, "/large", '"' + "x" * 20_000 + '"') == "Miss"
        assert status(running, "/large", "{}") == "Miss"
        assert cache(running)["refused"] == 1


def test_a_store_of_no_size_keeps_nothing() -> None:
    with gateway(CONFIG.replace("MORE", ""), mem_cache_size="0") as running:
        assert [status(running) for _ in range(2)] == ["Miss", "Miss"]


def test_requests_are_counted_by_what_the_cache_did() -> None:
    with gateway(CONFIG.replace("MORE", "")) as running:
        for _ in range(3):
            status(running)
        lines = running.node.metrics()
    assert 'twinplane_proxy_cache_requests_total{status="Miss"} 1' in lines
    assert 'twinplane_proxy_cache_requests_total{status="Hit"} 2' in lines


class NumberedUpstream:
    """An upstream that answers many at once, each time with another long body, and can break off in the middle."""

    def __init__(self) -> None:
        self.breaks_off = False
        self.asked = 0
        self._numbers = itertools.count(1)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        try:
            while True:
                accepted, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()
        except OSError:
            return

    def _serve(self, accepted: socket.socket) -> None:
        with accepted:
            accepted.settimeout(30)
            if not accepted.recv(65_536):
                return
            number = next(self._numbers)
            self.asked = number
            body = f"{number:04}".encode() * 10_000
            fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
            head = f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"
            accepted.sendall(head.encode() + body[: 20_000 if self.breaks_off else len(body)])


@contextmanager
def numbered(**node: str) -> Iterator[tuple[Gateway, NumberedUpstream]]:
    upstream = NumberedUpstream()
    try:
        config = CONFIG.replace("MORE", ", cache_ttl: 3600").replace("<echo-port>", str(upstream.port))
        with gateway(config, **node) as running:
            yield running, upstream
    finally:
        upstream.close()


def ask(running: Gateway) -> tuple[bytes, bytes]:
    """Head and body of an answer, over a connection of its own."""
    with socket.create_connection(("127.0.0.1", running.node.port)) as client:
        client.settimeout(30)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = b""
        while piece := client.recv(65_536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


def test_concurrent_misses_each_get_a_whole_answer_and_one_of_them_stays() -> None:
    with numbered(nginx_worker_processes="2") as (running, upstream):
        answers: list[tuple[bytes, bytes]] = []

        def client() -> None:
            answers.extend(ask(running) for _ in range(4))

        clients = [threading.Thread(target=client) for _ in range(12)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        assert len(answers) == 48
        for _, body in answers:
            assert len(body) == 40_000
            assert body == body[:4] * 10_000
        misses = sum(b"X-Cache-Status: Miss" in head for head, _ in answers)
        assert misses == upstream.asked
        head, body = ask(running)
        assert b"X-Cache-Status: Hit" in head
        assert int(body[:4]) <= upstream.asked
        assert cache(running)["entries"] == 1


def test_an_answer_that_breaks_off_is_not_kept() -> None:
    with numbered() as (running, upstream):
        upstream.breaks_off = True
        _, body = ask(running)
        assert len(body) < 40_000
        upstream.breaks_off = False
        head, body = ask(running)
        assert b"X-Cache-Status: Miss" in head
        assert len(body) == 40_000
        assert cache(running)["entries"] == 1
