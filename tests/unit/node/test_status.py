"""The status port over real connections: readiness in Kong's words, metrics under Kong's names, strict about HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from twinplane.hybrid.client import LinkFacts
from twinplane.hybrid.hashing import EMPTY_HASH
from twinplane.hybrid.wire import Issue
from twinplane.node.http import HttpServer
from twinplane.node.http_request import HttpRequest
from twinplane.node.log_queue import QueueFacts
from twinplane.node.logs import LogFacts
from twinplane.node.status import StatusApi, StatusFacts
from twinplane.node.telemetry import TelemetryFacts

HEALTH = {"upstream": "pool", "upstream_id": "u1", "target_id": "t1", "target": "10.0.0.1:80", "weight": 100}


class CoreStub:
    """Stands for the core: metrics in its form."""

    def __init__(self) -> None:
        self.is_ready = True
        self.metrics: dict[str, Any] = {
            "connections": {"accepted": 9, "active": 3, "idle": 2, "refused": 1},
            "requests_total": 42,
            "lost": {"records": 0, "logs": 5, "metrics": 0},
            "prometheus": [
                {"name": "kong_http_requests_total", "labels": {"service": 'a"b\\c\nd', "code": "200"}, "value": 7},
                {
                    "name": "kong_kong_latency_ms",
                    "labels": {"service": "s"},
                    "buckets": [[1, 2], [2.5, 3]],
                    "sum": 4.5,
                    "count": 4,
                },
            ],
            "shows_target_health": True,
            "upstream_health": [{**HEALTH, "address": "10.0.0.1:80", "health": "healthy"}],
        }

    def drain(self, kind: str) -> bytes:
        return json.dumps(self.metrics if kind == "metrics" else self.metrics["upstream_health"]).encode()

    def judge(self, _judgements: bytes) -> int:
        return 0

    def status(self) -> Any:
        return SimpleNamespace(
            connections_active=3, requests_total=42, snapshot_ready=self.is_ready, workers=2, listeners=[]
        )


class Running:
    """A status port and what it reads."""

    def __init__(self) -> None:
        self.core = CoreStub()
        self.hash = "a" * 32
        self.link = LinkFacts(is_connected=True, failures_total=3)
        self.facts = StatusFacts(
            node_id="n1",
            version="3.9.3",
            core=self.core,
            config_hash=lambda: self.hash,
            counts=lambda: {"applied": 4, "refused": 1},
            link=self.link,
            telemetry=TelemetryFacts(backlog_records=11, lost_records=2),
            logs=lambda: LogFacts({"http-log": QueueFacts(delivered_total=8, dropped_total=1)}, 3),
            certificate_expires_at=lambda: 1_800_000_000,
            conditions=lambda: (Issue("cache_unwritable", "the disk is full"),),
        )
        self.api = StatusApi(self.facts)
        self.port = 0


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    made = Running()
    server = HttpServer(made.api.handle, server_name="twinplane/0.1.0")
    made.port = await server.listen("127.0.0.1", 0)
    yield made
    await server.close()


@pytest.fixture
async def client(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}") as made:
        yield made


async def test_ready_says_why_not(running: Running, client: httpx.AsyncClient) -> None:
    async def ready() -> tuple[int, str]:
        answer = await client.get("/status/ready")
        return answer.status_code, answer.json()["message"]

    assert await ready() == (200, "ready")
    running.link.is_connected = False
    assert await ready() == (200, "ready")
    running.core.is_ready = False
    assert await ready() == (503, "router builds not yet complete, router ready in 0 of 2 workers")
    running.hash = EMPTY_HASH
    assert await ready() == (503, "no configuration available (empty configuration present)")


@pytest.mark.parametrize("body", [{"data": {"status": "draining"}}, {"json": {"status": "draining"}}])
async def test_draining_makes_unready(running: Running, client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    for wrong in ({"json": {"status": "resting"}}, {"json": []}, {"content": b""}):
        assert (await client.post("/status/ready", **wrong)).status_code == 400  # type: ignore[arg-type]
    assert (await client.post("/status/ready", **body)).status_code == 204
    answer = await client.get("/status/ready")
    assert (answer.status_code, answer.json()) == (503, {"message": "draining"})


async def test_status_tells_connections_and_the_hash(running: Running, client: httpx.AsyncClient) -> None:
    answer = await client.get("/status")
    assert answer.headers["server"] == "twinplane/0.1.0"
    body = answer.json()
    assert body["configuration_hash"] == running.hash
    assert body["conditions"] == [{"code": "cache_unwritable", "message": "the disk is full"}]
    assert body["server"] == {
        "connections_accepted": 10,
        "connections_active": 3,
        "connections_handled": 9,
        "connections_reading": 0,
        "connections_waiting": 2,
        "connections_writing": 1,
        "total_requests": 42,
    }
    assert "MiB" in body["memory"]["workers_lua_vms"][0]["http_allocated_gc"]
    body = (await client.get("/status?unit=k&scale=0")).json()
    assert "KiB" in body["memory"]["workers_lua_vms"][0]["http_allocated_gc"]
    assert (await client.get("/status?unit=x")).status_code == 400


async def test_metrics_carry_kongs_names(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert 'twinplane_condition{code="cache_unwritable"} 1' in answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'kong_http_requests_total{service="a\\"b\\\\c\\nd",code="200"} 7' in lines
    assert "# TYPE kong_http_requests_total counter" in lines
    assert "# TYPE kong_kong_latency_ms histogram" in lines
    assert 'kong_kong_latency_ms_bucket{service="s",le="2.5"} 3' in lines
    assert 'kong_kong_latency_ms_bucket{service="s",le="+Inf"} 4' in lines
    assert 'kong_kong_latency_ms_sum{service="s"} 4.5' in lines
    assert "kong_control_plane_connected 1" in lines
    assert "kong_data_plane_cluster_cert_expiry_timestamp 1800000000" in lines
    assert "kong_datastore_reachable 1" in lines
    assert 'kong_node_info{node_id="n1",version="3.9.3"} 1' in lines
    assert 'kong_nginx_connections_total{node_id="n1",subsystem="http",state="waiting"} 2' in lines
    assert "twinplane_telemetry_backlog_records 11" in lines
    assert 'twinplane_log_entries_total{plugin="http-log",outcome="delivered"} 8' in lines
    assert 'twinplane_log_entries_total{plugin="http-log",outcome="dropped"} 1' in lines
    assert "twinplane_log_entries_waiting 3" in lines
    assert any(line.startswith("kong_upstream_target_health") and 'state="healthy"' in line for line in lines)
    types = [line for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types))


async def test_health_of_an_upstream(client: httpx.AsyncClient) -> None:
    for name in ("pool", "u1"):
        body = (await client.get(f"/upstreams/{name}/health")).json()
        assert [(row["target"], row["health"]) for row in body["data"]] == [("10.0.0.1:80", "HEALTHY")]
    assert "health" not in (await client.get("/upstreams/pool/targets")).json()["data"][0]
    assert (await client.get("/upstreams/none/health")).status_code == 404
    for key in ("t1", "10.0.0.1:80"):
        assert (await client.get(f"/upstreams/pool/targets/{key}")).json()["health"] == "HEALTHY"
    assert (await client.get("/upstreams/pool/targets/10.0.0.1:81")).status_code == 404
    assert (await client.get("/upstreams/none/targets/t1")).status_code == 404


async def test_questions_to_name_servers_are_counted_for_the_newer_client_alone(running: Running) -> None:
    running.core.metrics["dns"] = {"queries": 9, "failed": 2, "timed_out": 1, "stale": 4}
    newer = StatusApi(replace(running.facts, counts_names=True))
    asked = HttpRequest("GET", "/status/dns", {}, {})
    assert (await running.api.handle(asked)).status == 501
    counted = {"query": 9, "query_succ": 6, "query_fail": 3, "stale": 4}
    told = json.loads((await newer.handle(asked)).body)
    assert told == {"worker": {"id": 0, "count": 2}, "stats": {"*:*": counted}}


async def test_other_paths_and_methods(client: httpx.AsyncClient) -> None:
    assert (await client.get("/services")).json() == {"message": "Not found"}
    assert (await client.post("/metrics")).status_code == 405
    assert (await client.get("/status/dns")).status_code == 501
    answer = await client.head("/status")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_failing_source_is_an_error_not_an_end(running: Running, client: httpx.AsyncClient) -> None:
    del running.core.metrics["connections"]
    assert (await client.get("/metrics")).status_code == 500
    assert (await client.get("/status/ready")).status_code == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /status HTTP/1.1\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET /status HTTP/2.0\r\nHost: a\r\n\r\n", 400),
        (b"GET status HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"POST /status/ready HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST /status/ready HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /status/ready HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (b"GET /status?" + b"&".join([b"a=1"] * 101) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ],
)
async def test_malformed_requests_are_refused(running: Running, sent: bytes, status: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(sent)
    line = await asyncio.wait_for(reader.readline(), 5)
    assert line.startswith(f"HTTP/1.1 {status} ".encode())
    writer.close()


async def test_health_checks_that_speak_http_1_0_are_answered(running: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"GET /status HTTP/1.0\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: close\r\n" in answer
    writer.close()
