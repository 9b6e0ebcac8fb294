"""A credential that is hidden reaches no gRPC server, neither with the metadata nor by another attempt."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

pytest.importorskip("grpc", reason="grpcio cannot be had here")

import grpc
from tests.hardness.gateway import Started, started
from tests.integration.grpc_peer import WAIT_S, Server, calling, refusal, serving

KEY, PASSWORD = "k3y-of-alice", "p4ssword-of-alice"
BASIC = "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def node(server: Server) -> Iterator[Started]:
    config = {
        "services": [
            {
                "name": "grpc",
                "protocol": "grpc",
                "host": "balanced",
                "retries": 3,
                "routes": [
                    {"name": name, "protocols": ["grpc", "grpcs"], "hosts": [f"{name}.example"], "plugins": [plugin]}
                    for name, plugin in (
                        ("key", {"name": "key-auth", "config": {"hide_credentials": True}}),
                        ("basic", {"name": "basic-auth", "config": {"hide_credentials": True}}),
                    )
                ],
            }
        ],
        # Nobody listens on the first: about each second call is another attempt.
        "upstreams": [
            {"name": "balanced", "targets": [{"target": "127.0.0.1:1"}, {"target": f"127.0.0.1:{server.port}"}]}
        ],
        "consumers": [
            {
                "username": "alice",
                "keyauth_credentials": [{"key": KEY}],
                "basicauth_credentials": [{"username": "alice", "password": PASSWORD}],
            }
        ],
        "plugins": [{"name": "file-log", "config": {"path": "/dev/null"}}],
    }
    with started(config) as found:
        yield found


@pytest.mark.parametrize(("name", "field", "value"), [("key", "apikey", KEY), ("basic", "authorization", BASIC)])
def test_a_call_hides(node: Started, server: Server, name: str, field: str, value: str) -> None:
    with calling(node.ports[2], authority=f"{name}.example") as stub:
        for _ in range(4):
            assert stub.echo(b"x", metadata=((field, value),), timeout=WAIT_S) == b"x"
            seen = server.call("Echo").metadata
            assert seen["x-consumer-username"] == "alice"
            assert field not in seen
            assert value not in json.dumps({key: str(text) for key, text in seen.items()})
        error = refusal(lambda: stub.echo(b"x", metadata=((field, value[:-2]),), timeout=WAIT_S))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert value.encode() not in node.core.drain("logs")
