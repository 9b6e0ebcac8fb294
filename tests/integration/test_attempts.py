"""Further attempts at an upstream: which failures are followed by one, and by how many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance.proxy.running_node import RunningNode, running
from tests.integration.installation import free_ports
from tests.integration.raw_peer import RawUpstream, Wire, connected, listening

RETRIES = 4
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
BODY = b"x" * 100_000


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with listening() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def node(upstream: RawUpstream) -> Iterator[RunningNode]:
    (dead,) = free_ports(1)

    def entry(name: str, port: int, **route: Any) -> Any:
        log = {"name": "file-log", "config": {"path": "/dev/null"}}
        route |= {"name": name, "hosts": [f"{name}.example"], "plugins": [log]}
        return {"name": name, "url": f"http://127.0.0.1:{port}", "retries": RETRIES, "routes": [route]}

    services = [
        entry("dead", dead),
        entry("held", upstream.port),
        entry("streamed", upstream.port, request_buffering=False),
    ]
    with running({}, {"_format_version": "3.0", "services": services}) as node:
        yield node


def ask(client: Wire, method: str, host: str, body: bytes = b"", length: int | None = None) -> None:
    """Ask with a body, or with the beginning of one."""
    lines = [f"{method} /x HTTP/1.1", f"Host: {host}.example", "Connection: close"]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    client.send(("\r\n".join(lines) + "\r\n\r\n").encode() + body)


@pytest.mark.parametrize(
    ("settings", "attempts"), [({}, RETRIES + 1), ({"tries": "2"}, 2), ({"tries": "9"}, RETRIES + 1)]
)
def test_there_are_no_more_attempts_than_service_and_settings_allow(
    node: RunningNode, settings: dict[str, str], attempts: int
) -> None:
    node.adopt({f"nginx_proxy_proxy_next_upstream_{name}": value for name, value in settings.items()})
    try:
        with connected(node.port) as client:
            ask(client, "GET", "dead")
            assert client.head()[0] == "HTTP/1.1 502 Bad Gateway"
        (entry,) = node.log_entries(1)
        assert len(entry["tries"]) == attempts
    finally:
        node.adopt({})


def test_a_body_that_is_held_is_sent_again_to_an_upstream_that_broke_off(
    node: RunningNode, upstream: RawUpstream
) -> None:
    with connected(node.port) as client:
        ask(client, "PUT", "held", BODY)
        first = upstream.accept()
        first.head()
        first.reset()
        second = upstream.accept()
        second.head()
        assert second.exactly(len(BODY)) == BODY
        second.send(OK)
        assert client.head()[0] == "HTTP/1.1 200 OK"
    (entry,) = node.log_entries(1)
    assert [each.get("code") for each in entry["tries"]] == [502, None]


@pytest.mark.parametrize(
    ("method", "host", "length"), [("POST", "held", len(BODY)), ("PUT", "streamed", 2 * len(BODY))]
)
def test_what_could_act_twice_or_is_not_held_is_sent_once(
    node: RunningNode, upstream: RawUpstream, method: str, host: str, length: int
) -> None:
    with connected(node.port) as client:
        ask(client, method, host, BODY, length)
        first = upstream.accept()
        first.head()
        first.reset()
        assert client.head()[0] == "HTTP/1.1 502 Bad Gateway"
    (entry,) = node.log_entries(1)
    assert len(entry["tries"]) == 1
