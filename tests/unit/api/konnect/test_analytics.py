"""The two analytics endpoints: answers of the public form, refusals with every violation, no foreign control plane."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from fastapi import FastAPI, Request

from twinplane.api.konnect.analytics import Name, create_router
from twinplane.control.analytics import RECORD_COLUMNS, Analytics, Batch, Retention, Source
from twinplane.store.events import EventStore, EventStoreSettings

SPECS = Path(__file__).resolve().parents[5] / "shared" / "specs" / "konnect"
CP, FOREIGN = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
NODE, BOOT = "33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444"
SERVICE, GONE = "55555555-5555-4555-8555-555555555555", "66666666-6666-4666-8666-666666666666"
NOW = time.time()


def rows(*changes: Mapping[str, object]) -> list[Sequence[object]]:
    base: dict[str, object] = dict.fromkeys(RECORD_COLUMNS)
    base |= {
        "request_start_us": int((NOW - 60) * 1_000_000),
        "request_id": "a" * 32,
        "service_id": SERVICE,
        "method": "GET",
        "path": "/orders",
        "protocol": "http",
        "http_version": "1.1",
        "status": 200,
        "upstream_status": 200,
        "response_source": "upstream",
        "latency_kong_us": 1500,
        "latency_upstream_us": 8500,
        "latency_total_us": 10_000,
        "request_bytes": 10,
        "response_bytes": 20,
        "tries": 1,
    }
    return list(zip(*(tuple((base | change).values()) for change in changes), strict=True))


@pytest.fixture
def client() -> Iterator[httpx.AsyncClient]:
    analytics = Analytics(EventStore(None, EventStoreSettings()), Retention())
    seen: tuple[dict[str, object], ...] = (
        {},
        {"service_id": GONE, "status": 502, "response_source": "kong", "upstream_status": None},
        {"service_id": None, "status": 404, "response_source": "kong", "upstream_status": None},
    )
    analytics.add_records(Batch(Source(CP, NODE, "3.9.3", BOOT, 1, BOOT, 0), rows(*seen)))
    analytics.add_records(Batch(Source(FOREIGN, NODE, "3.9.3", BOOT, 1, BOOT, 0), rows({})))

    async def asker(_request: Request) -> Sequence[str]:
        return [CP]

    def names(kind: str, _plane: str, ids: Sequence[str]) -> Mapping[str, Name]:
        return {one: Name("orders") for one in ids if one == SERVICE and kind == "services"}

    app = FastAPI()
    app.include_router(create_router(analytics, asker=asker, names=names))
    yield httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://us.api.test")
    analytics.close()


async def test_records_have_every_published_field(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v2/api-requests", json={})
    assert answer.status_code == 200
    body = answer.json()
    assert len(body["results"]) == body["meta"]["size"] == 3
    assert set(body["meta"]) == {"time_range", "query_id", "size", "offset"}
    by_status = {row["response_http_status"]: row for row in body["results"]}
    first = by_status["200"]
    assert first["gateway_service"] == f"{CP}:{SERVICE}"
    assert first["data_plane_node"] == f"{CP}:{NODE}"
    assert (first["latencies_response_ms"], first["latencies_upstream_ms"], first["upstream_status"]) == (10, 8, 200)
    assert by_status["404"]["gateway_service"] is None
    document = SPECS / "analytics-requests/v2/openapi.yaml"
    if document.exists():
        schemas = yaml.safe_load(document.read_text())["components"]["schemas"]
        assert set(first) == set(schemas["ResponseResults"]["items"]["properties"])


async def test_metrics_by_service_over_time(client: httpx.AsyncClient) -> None:
    query = {
        "metrics": ["request_count", "error_rate", "response_latency_p99"],
        "dimensions": ["time", "gateway_service"],
        "granularity": "minutely",
        "time_range": {"type": "relative", "time_range": "1h", "tz": "US/Eastern"},
    }
    answer = await client.post("/v2/metrics", json=query)
    assert answer.status_code == 200
    body = answer.json()
    events = {row["event"]["gateway_service"]: row["event"] for row in body["data"]}
    assert events[f"{CP}:{SERVICE}"]["request_count"] == 1
    assert events[f"{CP}:{SERVICE}"]["response_latency_p99"] == 10
    assert events["empty"]["error_rate"] == 100
    display = body["meta"]["display"]["gateway_service"]
    assert display[f"{CP}:{SERVICE}"] == {"id": f"{CP}:{SERVICE}", "name": "orders", "deleted": False}
    assert display[f"{CP}:{GONE}"] == {"id": f"{CP}:{GONE}", "name": GONE, "deleted": True}
    meta = body["meta"]
    assert meta["granularity_ms"] == 60_000
    assert meta["metric_units"] == {"request_count": "count", "error_rate": "%", "response_latency_p99": "ms"}
    assert meta["truncated"] is False


async def test_metrics_without_dimensions_are_one_row(client: httpx.AsyncClient) -> None:
    body = (await client.post("/v2/metrics", json={"metrics": ["request_count"]})).json()
    assert [row["event"] for row in body["data"]] == [{"request_count": 3}]


@pytest.mark.parametrize(
    "filters",
    [
        [{"field": "status_code", "operator": "in", "value": [200]}],
        [{"field": "status_code_grouped", "operator": "not_in", "value": ["4xx", "5XX"]}],
        [{"field": "gateway_service", "operator": "in", "value": [f"{CP}:{SERVICE}"]}],
        [{"dimension": "status_code", "type": "in", "values": [200]}],
        [
            {"field": "latencies_response_ms", "operator": "<", "value": 11},
            {"field": "api", "operator": "empty"},
            {"field": "response_source", "operator": "=", "value": "upstream"},
        ],
        [
            {"field": "control_plane", "operator": "in", "value": [CP]},
            {"field": "upstream_status_code", "operator": "not_empty"},
        ],
    ],
)
async def test_filters(client: httpx.AsyncClient, filters: list[dict[str, Any]]) -> None:
    body = (await client.post("/v2/api-requests", json={"filters": filters})).json()
    assert [row["response_http_status"] for row in body["results"]] == ["200"]


async def test_a_filter_cannot_reach_a_foreign_control_plane(client: httpx.AsyncClient) -> None:
    query = {"filters": [{"field": "control_plane", "operator": "in", "value": [FOREIGN]}]}
    assert (await client.post("/v2/api-requests", json=query)).json()["results"] == []
    assert (await client.post("/v2/metrics", json=query | {"metrics": []})).json()["data"] == []


@pytest.mark.parametrize(
    ("path", "query", "wrong"),
    [
        ("/v2/metrics", {"dimensions": ["colour"]}, {"dimensions.0"}),
        ("/v2/metrics", {"metrics": ["speed"], "limit": 0}, {"metrics.0", "limit"}),
        ("/v2/metrics", {"dimensions": ["time", "route", "consumer"]}, {"dimensions"}),
        ("/v2/metrics", {"granularity": "yearly", "unknown": 1}, {"granularity", "unknown"}),
        ("/v2/metrics", {"datasource": "weather"}, {"datasource"}),
        ("/v2/metrics", {"time_range": {"type": "relative", "time_range": "1H"}}, {"time_range.time_range"}),
        (
            "/v2/api-requests",
            {"time_range": {"type": "absolute", "start": "x", "end": 3, "tz": "Mars/Base"}},
            {"time_range.start", "time_range.end", "time_range.tz"},
        ),
        ("/v2/api-requests", {"size": 1001, "offset": -1, "order": "up"}, {"size", "offset", "order"}),
        (
            "/v2/api-requests",
            {
                "filters": [
                    {"field": "nope", "operator": "in", "value": []},
                    {"field": "route", "operator": "in", "value": ["not-scoped"]},
                    {"field": "status_code", "operator": "like", "value": 1},
                    {"field": "status_code", "operator": "=", "value": True},
                    "text",
                ]
            },
            {"filters.0.field", "filters.1.value.0", "filters.2.operator", "filters.3.value", "filters.4"},
        ),
        ("/v2/api-requests", [], {"body"}),
    ],
)
async def test_refusals_name_every_violation(client: httpx.AsyncClient, path: str, query: Any, wrong: set[str]) -> None:
    answer = await client.post(path, json=query)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert {"status", "title", "instance", "detail"} <= set(body)
    assert {violation["field"] for violation in body["invalid_parameters"]} == wrong
    assert all(set(entry) == {"field", "rule", "choices", "reason"} for entry in body["invalid_parameters"])


async def test_a_body_that_is_no_json_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v2/metrics", content=b"{")
    assert answer.status_code == 400
    answer = await client.post("/v2/metrics", content=b" " * 1_100_000)
    assert answer.status_code == 400


async def test_every_published_example_is_understood(client: httpx.AsyncClient) -> None:
    document = SPECS / "analytics-requests/v2/openapi.yaml"
    if not document.exists():
        pytest.skip("published API documents not present")
    examples = yaml.safe_load(document.read_text())["components"]["examples"]
    queries = [example["value"] for name, example in examples.items() if name.startswith("Example")]
    assert len(queries) >= 6
    for query in queries:
        assert (await client.post("/v2/api-requests", json=query)).status_code == 200
