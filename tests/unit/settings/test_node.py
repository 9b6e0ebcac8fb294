"""Settings of a node: every mistake at once, the environment wins, names of Kong's load."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinplane.settings import SettingsError, load_node_settings

MINIMAL = {"KONG_CLUSTER_CERT": "/c.pem", "KONG_CLUSTER_CERT_KEY": "/c.key"}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "kong.conf"
    path.write_text(text)
    return path


def test_every_mistake_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "proxy_listen = 300.0.0.1:80\nlog_level = loud\ncluster_max_payload = 5\nthis is no setting\n"
        "cluster_dp_labels = kong_x:1, a\ntrusted_ips = 300.0.0.1\n",
    )
    with pytest.raises(SettingsError) as caught:
        load_node_settings(path, {})
    texts = [str(mistake) for mistake in caught.value.mistakes]
    assert sorted(text.split(": ")[1] for text in texts) == [
        "cluster_cert",
        "cluster_cert_key",
        "cluster_dp_labels",
        "cluster_dp_labels",
        "cluster_max_payload",
        "log_level",
        "proxy_listen",
        "this is no setting",
        "trusted_ips",
    ]
    assert any(text.startswith(f"{path}:2: log_level: expected one of debug") for text in texts)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "log_level = debug  # a comment\nreal_ip_header = 'X-A'\n")
    settings = load_node_settings(path, {**MINIMAL, "KONG_LOG_LEVEL": "warn"})
    assert (settings["log_level"], settings["real_ip_header"]) == ("warn", "X-A")


def test_a_hash_can_be_escaped(tmp_path: Path) -> None:
    path = write(tmp_path, r"cluster_cert_key = /keys/a\#b.pem # the key" + "\ncluster_cert=/c\n")
    assert load_node_settings(path, {})["cluster_cert_key"] == "/keys/a#b.pem"


def test_unknown_and_idle_names_are_warned_about(tmp_path: Path) -> None:
    path = write(tmp_path, "nginx_http_include = x.conf\nlmdb_map_size = 2048m\n")
    warnings = load_node_settings(path, MINIMAL).warnings
    assert [warning.split(": ")[1] for warning in warnings] == ["nginx_http_include", "lmdb_map_size"]


def test_strict_conf_refuses_unknown_names(tmp_path: Path) -> None:
    path = write(tmp_path, "strict_conf = on\nnginx_http_include = x.conf\n")
    with pytest.raises(SettingsError, match="nginx_http_include: unknown directive"):
        load_node_settings(path, MINIMAL)


def test_secrets_are_masked_for_others() -> None:
    masked = load_node_settings(None, {**MINIMAL, "KONG_PROXY_SERVER": "http://u:p@h:1"}).masked()
    assert (masked["cluster_cert_key"], masked["proxy_server"]) == ("******", "******")
    assert masked["cluster_cert"] == "/c.pem"


def test_a_configuration_given_as_text_is_a_secret() -> None:
    given = {**MINIMAL, "KONG_DECLARATIVE_CONFIG_STRING": '{"consumers":[{"username":"a"}]}'}
    assert load_node_settings(None, given).masked()["declarative_config_string"] == "******"


def test_the_value_of_a_secret_is_not_repeated_in_a_mistake() -> None:
    with pytest.raises(SettingsError) as caught:
        load_node_settings(Path("/nowhere/kong.conf"), {"KONG_DATABASE": "mysql", **MINIMAL})
    assert {mistake.name for mistake in caught.value.mistakes} == {"file", "database"}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"KONG_ROLE": "traditional", "KONG_ADMIN_LISTEN": "off"}, "declarative_config"),
        ({"KONG_ROLE": "traditional", "KONG_ADMIN_LISTEN": "0.0.0.0:8001"}, "admin_listen"),
        ({"KONG_ROLE": "traditional", "KONG_ADMIN_LISTEN": "127.0.0.1:1, [::]:2 ssl"}, "admin_listen"),
        ({"KONG_ROLE": "traditional", "KONG_ADMIN_TOKEN": "short"}, "admin_token"),
        ({"KONG_ROLE": "traditional", "KONG_ADMIN_SSL_CERT": "/a"}, "admin_ssl_cert"),
        ({**MINIMAL, "KONG_DATABASE": "postgres"}, "database"),
        ({**MINIMAL, "KONG_PROXY_LISTEN": "off"}, "proxy_listen"),
        ({**MINIMAL, "KONG_CLUSTER_USE_PROXY": "on"}, "proxy_server"),
        ({**MINIMAL, "KONG_SSL_CERT": "/a,/b", "KONG_SSL_CERT_KEY": "/a"}, "ssl_cert"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(given: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_node_settings(None, given)
    assert [mistake.name for mistake in caught.value.mistakes] == [name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dns_order", "LAST,MX"),
        ("dns_order", ","),
        ("resolver_family", "CNAME"),
        ("dns_cache_size", "0"),
        ("slow_target_factor", "1"),
        ("slow_target_factor", "nan"),
        ("probes_max", "0"),
    ],
)
def test_settings_of_names_and_targets_are_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_node_settings(None, {**MINIMAL, f"KONG_{name.upper()}": text})
    assert [mistake.name for mistake in refused.value.mistakes] == [name]


def test_settings_of_names_are_read_whatever_their_case() -> None:
    settings = load_node_settings(None, {**MINIMAL, "KONG_DNS_ORDER": "last, a,srv", "KONG_SLOW_TARGET_FACTOR": "off"})
    assert settings["dns_order"] == ("LAST", "A", "SRV")
    assert settings["slow_target_factor"] is None


def test_an_admin_api_is_served_to_other_machines_only_where_that_is_said() -> None:
    remote = {"KONG_ROLE": "traditional", "KONG_ADMIN_LISTEN": "0.0.0.0:8001, 127.0.0.1:8444 ssl"}
    for more in ({"KONG_ADMIN_TOKEN": "0123456789abcdef"}, {"KONG_ADMIN_REMOTE_ACCESS": "on"}):
        settings = load_node_settings(None, {**remote, **more})
        assert [listener.port for listener in settings["admin_listen"]] == [8001, 8444]
    assert (
        load_node_settings(None, {**remote, "KONG_ADMIN_TOKEN": "0123456789abcdef"}).masked()["admin_token"] == "*" * 6
    )


def test_an_admin_api_tells_settings_in_the_types_of_kong() -> None:
    given = {
        "KONG_ROLE": "traditional",
        "KONG_PROXY_LISTEN": "127.0.0.1:8010, 127.0.0.1:8453 ssl",
        "KONG_PLUGINS": "bundled,own",
        "KONG_ALLOW_DEBUG_HEADER": "on",
        "KONG_PORT_MAPS": "80:8000",
        "KONG_NGINX_HTTP_KEEPALIVE_REQUESTS": "10000",
        "KONG_NGINX_PROXY_PROXY_NEXT_UPSTREAM": "timeout error",
        "KONG_ADMIN_TOKEN": "0123456789abcdef",
    }
    typed = load_node_settings(None, given).typed()
    expected = {
        "proxy_listen": ["127.0.0.1:8010", "127.0.0.1:8453"],
        "stream_listen": ["off"],
        "plugins": ["bundled", "own"],
        "vaults": ["bundled"],
        "dns_order": ["LAST", "SRV", "A", "CNAME"],
        "allow_debug_header": True,
        "client_ssl": False,
        "port_maps": ["80:8000"],
        "ssl_session_tickets": "on",
        "ssl_protocols": "TLSv1.2 TLSv1.3",
        "nginx_http_keepalive_requests": "10000",
        "nginx_proxy_proxy_next_upstream": "error timeout",
        "admin_token": "******",
        "lua_ssl_verify_depth": 1,
    }
    assert {name: typed[name] for name in expected} == expected


def test_a_node_of_a_control_plane_is_told_that_it_has_no_admin_api() -> None:
    warned = load_node_settings(None, {**MINIMAL, "KONG_ADMIN_LISTEN": "0.0.0.0:8001"}).warnings
    assert [warning for warning in warned if "admin_listen" in warning]
    assert not load_node_settings(None, {**MINIMAL, "KONG_ADMIN_LISTEN": "off"}).warnings
