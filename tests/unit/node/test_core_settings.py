"""What the core is started with."""

from __future__ import annotations

import orjson
import pytest

from twinplane.node.core_settings import node_core_settings
from twinplane.settings import load_node_settings


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("192.0.2.1", "192.0.2.1:53"), ("192.0.2.1:5353", "192.0.2.1:5353"), ("::1", "[::1]:53"), ("[::1]", "[::1]:53")],
)
def test_name_servers_get_the_usual_port(given: str, wanted: str) -> None:
    environ = {
        "KONG_DNS_RESOLVER": given,
        "KONG_CLUSTER_CERT": "/c",
        "KONG_CLUSTER_CERT_KEY": "/k",
        "KONG_LUA_SSL_TRUSTED_CERTIFICATE": "system",
    }
    document = orjson.loads(node_core_settings(load_node_settings(None, environ), "id", []))
    assert document["dns"]["resolvers"] == [wanted]


def test_the_newer_settings_of_names_take_the_place_of_the_older() -> None:
    newer = {
        "KONG_NEW_DNS_CLIENT": "on",
        "KONG_RESOLVER_ADDRESS": "192.0.2.7",
        "KONG_RESOLVER_FAMILY": "AAAA,SRV",
        "KONG_RESOLVER_ERROR_TTL": "3",
        "KONG_RESOLVER_LRU_CACHE_SIZE": "77",
        "KONG_DNS_RESOLVER": "192.0.2.8",
    }
    environ = {**newer, "KONG_CLUSTER_CERT": "/c", "KONG_CLUSTER_CERT_KEY": "/k"}
    dns = orjson.loads(node_core_settings(load_node_settings(None, environ), "id", []))["dns"]
    assert (dns["resolvers"], dns["order"]) == (["192.0.2.7:53"], ["SRV", "AAAA"])
    assert (dns["not_found_ttl"], dns["error_ttl"], dns["cache_size"]) == (3, 3, 77)
    assert dns["services_by_name"] is True
