"""What a team with several services would have configured: the entities that pages are looked at with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.certificates import Authority

SERVICES = ("orders", "payments", "catalog", "search", "accounts", "invoices", "shipping", "notifications")
CONSUMERS = ("web-shop", "mobile-app", "back-office", "partner-north", "partner-south")
KEY = "a-key-of-the-web-shop"
BROKEN = "shipping"
"""The service whose target nobody listens at."""


@dataclass(frozen=True)
class Row:
    """One entity to be made; `as_name` is how others refer to it (`{"id": "@as_name"}`)."""

    collection: str
    body: Mapping[str, Any]
    as_name: str = ""


def rows(upstream_port: int, closed_port: int) -> Iterator[Row]:
    """Every entity, in an order in which each finds what it refers to."""
    for place, name in enumerate(SERVICES):
        target = closed_port if name == BROKEN else upstream_port
        yield Row("upstreams", {"name": f"{name}.internal", "tags": [f"team-{place % 3}"]}, f"upstream-{name}")
        yield Row("targets", {"target": f"127.0.0.1:{target}", "weight": 100, "upstream": {"id": f"@upstream-{name}"}})
        if name == "catalog":
            more = {"target": f"localhost:{upstream_port}", "weight": 50, "upstream": {"id": f"@upstream-{name}"}}
            yield Row("targets", more)
        tags = ["public" if place % 2 else "internal", f"team-{place % 3}"]
        body = {"name": name, "host": f"{name}.internal", "path": f"/{name}", "retries": 1, "tags": tags}
        yield Row("services", body, name)
        route = {"name": f"{name}-api", "paths": [f"/{name}"], "service": {"id": f"@{name}"}, "tags": tags}
        yield Row("routes", route, f"route-{name}")
    admin = {
        "name": "catalog-admin", "paths": ["/catalog-admin", "~/v(?<version>[0-9]+)/catalog"],
        "methods": ["GET", "PUT"], "hosts": ["admin.shop.example", "*.intern.shop.example"],
        "service": {"id": "@catalog"},
    }  # fmt: skip
    yield Row("routes", admin, "route-catalog-admin")
    yield Row("routes", {"name": "retired", "paths": ["/v0"], "service": {"id": "@orders"}}, "route-retired")
    yield from _callers()
    yield from _plugins()
    yield from _secrets()


def _callers() -> Iterator[Row]:
    for name in ("gold", "standard"):
        yield Row("consumer_groups", {"name": name, "tags": ["plan"]}, f"group-{name}")
    for place, name in enumerate(CONSUMERS):
        yield Row("consumers", {"username": name, "custom_id": f"c-{1000 + place}", "tags": ["shop"]}, name)
        key = KEY if place == 0 else f"a-key-of-{name}"
        yield Row("keyauth_credentials", {"key": key, "consumer": {"id": f"@{name}"}})
        group = "gold" if name.startswith("partner") else "standard"
        member = {"consumer": {"id": f"@{name}"}, "consumer_group": {"id": f"@group-{group}"}}
        yield Row("consumer_group_consumers", member)
        yield Row("acls", {"group": group, "consumer": {"id": f"@{name}"}})
    consumer = {"consumer": {"id": "@back-office"}}
    yield Row("basicauth_credentials", {"username": "back-office", "password": "not-a-real-one", **consumer})
    yield Row("hmacauth_credentials", {"username": "back-office", "secret": "not-a-real-one", **consumer})
    yield Row("jwt_secrets", {"key": "back-office", "secret": "not-a-real-one", **consumer})
    client = {"name": "back-office", "client_id": "back-office", "redirect_uris": ["https://shop.example/done"]}
    yield Row("oauth2_credentials", {**client, **consumer})


def _plugins() -> Iterator[Row]:
    yield Row("plugins", {"name": "correlation-id", "config": {"header_name": "X-Request-Id"}})
    yield Row("plugins", {"name": "prometheus"})
    # Nodes of older versions do not know the realm.
    keys = {"name": "key-auth", "service": {"id": "@payments"}, "instance_name": "payments-keys"}
    yield Row("plugins", {**keys, "config": {"realm": "payments", "key_names": ["apikey", "x-key"]}}, "payments-keys")
    yield Row("plugins", {"name": "key-auth", "service": {"id": "@invoices"}})
    acl = {"name": "acl", "service": {"id": "@invoices"}, "config": {"allow": ["gold"], "hide_groups_header": True}}
    yield Row("plugins", acl)
    limits = {"minute": 40, "policy": "local", "limit_by": "ip"}
    yield Row("plugins", {"name": "rate-limiting", "route": {"id": "@route-search"}, "config": limits}, "limits")
    cors = {"origins": ["https://shop.example"], "methods": ["GET", "POST"], "credentials": True, "max_age": 600}
    yield Row("plugins", {"name": "cors", "service": {"id": "@catalog"}, "config": cors, "tags": ["public"]})
    gone = {"status_code": 410, "message": "This version has ended."}
    yield Row("plugins", {"name": "request-termination", "route": {"id": "@route-retired"}, "config": gone})
    add = {"add": {"headers": ["x-shop:north"], "querystring": ["lang:en"]}, "remove": {"headers": ["x-debug"]}}
    yield Row("plugins", {"name": "request-transformer", "service": {"id": "@accounts"}, "config": add})
    chat = {
        "route_type": "llm/v1/chat", "auth": {"header_name": "Authorization", "header_value": "not-a-real-one"},
        "model": {"provider": "openai", "name": "small", "options": {"max_tokens": 256}},
    }  # fmt: skip
    off = {"name": "ai-proxy", "route": {"id": "@route-notifications"}, "enabled": False}
    yield Row("plugins", {**off, "config": {**chat, "max_request_body_size": 16384}}, "ai")


def _secrets() -> Iterator[Row]:
    authority = Authority("Shop authority")
    leaf = authority.leaf("shop.example")
    yield Row("certificates", {"cert": leaf.certificate, "key": leaf.key, "tags": ["public"]}, "certificate")
    for name in ("shop.example", "*.shop.example"):
        yield Row("snis", {"name": name, "certificate": {"id": "@certificate"}})
    yield Row("ca_certificates", {"cert": authority.certificate})
    yield Row("key_sets", {"name": "signing"}, "set")
    public = x509.load_pem_x509_certificate(leaf.certificate.encode()).public_key()
    pem = {"public_key": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()}
    yield Row("keys", {"name": "signing-2026", "kid": "2026-1", "pem": pem, "set": {"id": "@set"}})
    yield Row("vaults", {"name": "env", "prefix": "shop-env", "description": "Secrets from the environment."})
