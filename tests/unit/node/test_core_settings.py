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
