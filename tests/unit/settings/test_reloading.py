"""What a node takes into use while it serves."""

from __future__ import annotations

from twinplane.settings import NODE, left_out, load_node_settings
from twinplane.settings.reloading import RELOADED

MINIMAL = {"KONG_CLUSTER_CERT": "/c.pem", "KONG_CLUSTER_CERT_KEY": "/c.key"}


def test_only_settings_that_are_acted_on_are_taken_into_use() -> None:
    assert {setting.name for setting in NODE if setting.acted_on} >= RELOADED
    assert {"proxy_listen", "ssl_cert", "nginx_http_send_timeout", "headers", "log_level"} <= RELOADED
    assert RELOADED.isdisjoint({"prefix", "role", "nginx_worker_processes", "cluster_cert", "router_flavor"})


def test_what_cannot_be_taken_into_use_stays_and_is_named() -> None:
    before = load_node_settings(None, MINIMAL)
    changed = {"KONG_HEADERS": "off", "KONG_ROUTER_FLAVOR": "expressions", "KONG_CLUSTER_CERT": "/d.pem"}
    found = load_node_settings(None, {**MINIMAL, **changed})
    taken = before.taking(found)
    assert (taken["headers"], taken["router_flavor"]) == (("off",), "traditional_compatible")
    assert left_out(before.values, found.values) == ["cluster_cert", "router_flavor"]
    assert left_out(before.values, before.values) == []
