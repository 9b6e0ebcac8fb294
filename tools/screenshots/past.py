"""A day of traffic that is already over, so that charts have a shape: the same rows for the same moment. Pure."""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HOURS = 24
ROWS_PER_HOUR = 70
_STATUSES = (200, 200, 200, 200, 200, 200, 201, 204, 304, 404)


def records(
    ids: Mapping[str, str], services: Sequence[str], consumers: Sequence[str], *, now: float
) -> Iterator[dict[str, Any]]:
    """Request records, the oldest first; `ids` are those of the entities by their names."""
    dice = random.Random(7)
    for number in range(HOURS * ROWS_PER_HOUR):
        age = HOURS * 3600 * (1 - (number + dice.random()) / (HOURS * ROWS_PER_HOUR))
        # More by day than by night.
        if dice.random() > 0.55 + 0.45 * math.sin(2 * math.pi * (now - age) / 86_400 - 2):
            continue
        yield _record(dice, ids, services, consumers, now - age)


def _record(
    dice: random.Random, ids: Mapping[str, str], services: Sequence[str], consumers: Sequence[str], at: float
) -> dict[str, Any]:
    service = services[min(int(dice.expovariate(0.5)), len(services) - 1)]
    consumer = dice.choice(consumers) if service in ("payments", "invoices") else None
    status = dice.choice(_STATUSES)
    upstream: int | None = int(dice.lognormvariate(3.2, 0.7) * 1000)
    if dice.random() < 0.02:
        status = dice.choice((500, 502, 503))
    if service in ("payments", "invoices") and dice.random() < 0.1:
        status, upstream, consumer = 401, None, None
    own = int(dice.lognormvariate(-0.7, 0.5) * 1000)
    matched = dice.random() > 0.03
    return {
        "request_start_us": int(at * 1e6),
        "request_id": uuid.UUID(int=dice.getrandbits(128)).hex,
        "service_id": ids[service] if matched else None,
        "route_id": ids[f"route-{service}"] if matched else None,
        "consumer_id": ids[consumer] if consumer and matched else None,
        "credential_id": None,
        "application_id": None,
        "method": dice.choice(("GET", "GET", "GET", "POST", "PUT")),
        "path": f"/{service}/{dice.randrange(1, 9000)}" if matched else "/favicon.ico",
        "host": None,
        "protocol": "http",
        "http_version": "1.1",
        "status": status if matched else 404,
        "upstream_status": None if upstream is None or not matched else status,
        "response_source": "upstream" if upstream is not None and matched else "kong",
        "latency_kong_us": own,
        "latency_upstream_us": upstream if matched else None,
        "latency_total_us": own + (upstream or 0 if matched else 0),
        "request_bytes": dice.randrange(120, 900),
        "response_bytes": dice.randrange(200, 40_000),
        "tries": 1 if matched and upstream is not None else 0,
    }
