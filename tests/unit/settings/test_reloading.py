"""What a node takes into use while it serves."""

from __future__ import annotations

import pytest

from twinplane.settings import NODE, SettingsError, left_out, load_node_settings
from twinplane.settings.reloading import RELOADED

MINIMAL = {"KONG_CLUSTER_CERT": "/c.pem", "KONG_CLUSTER_CERT_KEY": "/c.key"}


def test_only_settings_that_are_acted_on_are_taken_into_use() -> None:
    assert {setting.name for setting in NODE if setting.acted_on} >= RELOADED
    assert {"stream_listen", "status_listen", "status_ssl_cert", "admin_listen", "admin_token"} <= RELOADED
    assert {"proxy_listen", "ssl_cert", "nginx_http_send_timeout", "headers", "log_level"} <= RELOADED
    assert RELOADED.isdisjoint({"prefix", "role", "nginx_worker_processes", "cluster_cert", "router_flavor"})


def test_what_is_at_odds_with_the_settings_of_the_start_is_refused() -> None:
    before = load_node_settings(None, {"KONG_ROLE": "traditional", "KONG_ADMIN_LISTEN": "127.0.0.1:0"})
    # Of a node with a control plane nobody asks what other machines may reach; the role of this one stays.
    found = load_node_settings(None, {**MINIMAL, "KONG_ADMIN_LISTEN": "0.0.0.0:8001"})
    with pytest.raises(SettingsError, match=r"admin_listen: 0\.0\.0\.0:8001 is reached .*needs a restart"):
        before.taking(found)


def test_what_cannot_be_taken_into_use_stays_and_is_named() -> None:
    before = load_node_settings(None, MINIMAL)
    changed = {"KONG_HEADERS": "off", "KONG_ROUTER_FLAVOR": "expressions", "KONG_CLUSTER_CERT": "/d.pem"}
    found = load_node_settings(None, {**MINIMAL, **changed})
    taken = before.taking(found)
    assert (taken["headers"], taken["router_flavor"]) == (("off",), "traditional_compatible")
    assert left_out(before.values, found.values) == ["cluster_cert", "router_flavor"]
    assert left_out(before.values, before.values) == []
