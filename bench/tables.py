"""Large tables in the form that crosses the core's door: one entity is completed, the others are written after it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import orjson

from bench import configurations
from twinplane.control import declarative

FLAVORS = ("traditional_compatible", "expressions")


def routes_table(path: Path, upstream_port: int, count: int, flavor: str, generation: int = 0) -> Path:
    """`count` routes by host and path; the one that is asked for, `bench.example/bench`, lies in the middle."""
    route = {"name": "bench", "hosts": ["bench.example"], "paths": ["/bench"]}
    service = {"name": "bench", "url": f"http://127.0.0.1:{upstream_port}/", "routes": [route]}
    table = _completed({"services": [service]})
    template = {**table["routes"][0], **_matching(flavor, "bench.example", "/bench")}

    def others(numbers: range) -> Iterator[dict[str, object]]:
        for number in numbers:
            matching = _matching(flavor, f"h{number % 997}.example", f"/g{generation}/api/{number}")
            yield {**template, "id": str(uuid.UUID(int=number + 1)), "name": f"r{number}", **matching}

    half = count // 2
    table["routes"] = [*others(range(half)), template, *others(range(half, count - 1))]
    path.write_bytes(orjson.dumps(table))
    return path


def consumers_table(path: Path, upstream_port: int, count: int) -> Path:
    """`count` consumers with a key each, behind key-auth and rate-limiting; the one that asks lies in the middle."""
    table = _completed(configurations.full(upstream_port))
    consumer, credential = table["consumers"][0], table["keyauth_credentials"][0]
    consumers, credentials = [], []
    for number in range(count - 1):
        name, own = str(uuid.UUID(int=number + 1)), str(uuid.UUID(int=number + 1 + (1 << 64)))
        consumers.append({**consumer, "id": name, "username": f"consumer-{number}"})
        credentials.append({**credential, "id": own, "consumer": name, "key": f"key-of-consumer-{number}"})
    half = count // 2
    table["consumers"] = [*consumers[:half], consumer, *consumers[half:]]
    table["keyauth_credentials"] = [*credentials[:half], credential, *credentials[half:]]
    path.write_bytes(orjson.dumps(table))
    return path


def _matching(flavor: str, host: str, path: str) -> dict[str, object]:
    if flavor == "expressions":
        return {
            "hosts": None,
            "paths": None,
            "priority": len(path),
            "expression": f'http.host == "{host}" && http.path ^= "{path}"',
        }
    return {"hosts": [host], "paths": [path]}


def _completed(document: dict[str, object]) -> dict[str, list[dict[str, object]]]:
    loaded = declarative.load({"_format_version": "3.0", **document}, now=time.time())
    table: dict[str, list[dict[str, object]]] = orjson.loads(loaded.json())
    return table
