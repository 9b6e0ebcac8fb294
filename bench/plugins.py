"""What does each popular plugin cost a request, alone on its route?"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from email.utils import formatdate
from pathlib import Path

from bench import configurations, processes
from bench.effort import Effort
from bench.load import Load
from bench.table import Case, side_by_side
from bench.upstream import upstream

BASE = "no plugin"
_SECRET = "a-long-random-text"


def run(directory: Path, effort: Effort) -> list[str]:
    """One node with a route for each plugin; the first row is a route without any."""
    with upstream(directory) as up:
        configured = _configured(directory, up.http)
        routes: dict[str, list[dict[str, object]]] = {BASE: [], **configured}
        with processes.node(directory, configurations.routes_with_plugins(up.http, routes, _CONSUMER)) as ours:
            headers = _headers()
            cases = [
                Case(
                    name,
                    BASE if name == BASE else "twinplane",
                    ours,
                    Load(path=f"/{path}", headers=headers.get(name, ())),
                )
                for name, path in ((name, configurations.path_of(name)) for name in routes)
            ]
            return side_by_side(cases, effort, base=BASE)


_CONSUMER: dict[str, object] = {
    "username": "bench",
    "keyauth_credentials": [{"key": configurations.KEY}],
    "basicauth_credentials": [{"username": "bench", "password": _SECRET}],
    "hmacauth_credentials": [{"username": "bench", "secret": _SECRET}],
    "jwt_secrets": [{"key": "bench-issuer", "secret": _SECRET, "algorithm": "HS256"}],
    "acls": [{"group": "readers"}],
}


def _configured(directory: Path, sink: int) -> dict[str, list[dict[str, object]]]:
    """The plugins of each route."""

    def one(name: str, **config: object) -> list[dict[str, object]]:
        return [{"name": name, "config": config}]

    return {
        "key-auth": one("key-auth"),
        "basic-auth": one("basic-auth"),
        "hmac-auth": one("hmac-auth", clock_skew=3600),
        "jwt": one("jwt"),
        "key-auth and acl": [*one("key-auth"), *one("acl", allow=["readers"])],
        "ip-restriction": one("ip-restriction", allow=["127.0.0.0/8", "10.0.0.0/8"]),
        "rate-limiting": one("rate-limiting", minute=2_000_000_000, policy="local", limit_by="ip"),
        "response-ratelimiting": one(
            "response-ratelimiting", policy="local", limit_by="ip", limits={"pages": {"minute": 2_000_000_000}}
        ),
        "request-size-limiting": one("request-size-limiting", allowed_payload_size=8),
        "request-transformer": one(
            "request-transformer", add={"headers": ["x-added:1"]}, remove={"headers": ["accept"]}
        ),
        "response-transformer": one("response-transformer", add={"headers": ["x-added:1"]}),
        "cors": one("cors", origins=["https://shop.example"]),
        "bot-detection": one("bot-detection"),
        "correlation-id": one("correlation-id", echo_downstream=True),
        "request-termination": one("request-termination", status_code=200, message="ended"),
        "proxy-cache, hit": one("proxy-cache", strategy="memory", cache_ttl=3600, content_type=["text/plain"]),
        "prometheus": one("prometheus", status_code_metrics=True, latency_metrics=True, bandwidth_metrics=True),
        "http-log": one("http-log", http_endpoint=f"http://127.0.0.1:{sink}/", queue={"max_batch_size": 200}),
        "file-log": one("file-log", path=str(directory / "file.log")),
        "udp-log": one("udp-log", host="127.0.0.1", port=9),
    }


def _headers() -> dict[str, tuple[str, ...]]:
    """What each plugin is shown."""
    key = f"apikey: {configurations.KEY}"
    date = formatdate(usegmt=True)
    signed = hmac.new(_SECRET.encode(), f"date: {date}".encode(), hashlib.sha256).digest()
    return {
        "key-auth": (key,),
        "key-auth and acl": (key,),
        "basic-auth": (f"Authorization: Basic {base64.b64encode(f'bench:{_SECRET}'.encode()).decode()}",),
        "hmac-auth": (
            f"Date: {date}",
            'Authorization: hmac username="bench", algorithm="hmac-sha256", headers="date", '
            f'signature="{base64.b64encode(signed).decode()}"',
        ),
        "jwt": (f"Authorization: Bearer {_token()}",),
        "cors": ("Origin: https://shop.example",),
        "bot-detection": ("User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",),
    }


def _token() -> str:
    def part(content: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'iss': 'bench-issuer'})}"
    signature = hmac.new(_SECRET.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
