"""Settings of the control plane and of `up`."""

from __future__ import annotations

import pytest

from twinplane.settings import CONTROL_PLANE, UP, SettingsError, load_process_settings


def test_options_win_over_variables_and_those_over_defaults() -> None:
    settings = load_process_settings(UP, {"port": "1"}, {"TWINPLANE_PORT": "2", "TWINPLANE_PROXY_PORT": "3"})
    assert (settings["port"], settings["proxy-port"], settings["status-port"]) == (1, 3, 8007)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_process_settings(UP, {"port": "x", "domain": "A b", "audit-port": "x"}, {})
    assert {mistake.name for mistake in caught.value.mistakes} == {"port", "domain", "audit-port"}


def test_two_listeners_cannot_share_a_port() -> None:
    with pytest.raises(SettingsError, match="proxy-port: is the same port as port"):
        load_process_settings(UP, {"port": "9000", "proxy-port": "9000"}, {})


def test_the_admin_api_can_be_turned_off() -> None:
    assert load_process_settings(UP, {"admin-port": "off"}, {})["admin-port"] is None


def test_the_control_plane_listens_on_443_by_default() -> None:
    assert load_process_settings(CONTROL_PLANE, {}, {})["port"] == 443


@pytest.mark.parametrize("text", ["syslog:514", "http://h:1", "tcp://h", "tls://h:0", "tls://h:99999", "udp://a@b:1"])
def test_a_syslog_server_needs_a_transport_and_a_port(text: str) -> None:
    with pytest.raises(SettingsError, match="audit-forward: expected off, or udp, tcp or tls"):
        load_process_settings(CONTROL_PLANE, {"audit-forward": text}, {})


def test_a_syslog_server_is_read_into_its_parts() -> None:
    def read(text: str) -> object:
        return load_process_settings(CONTROL_PLANE, {"audit-forward": text}, {})["audit-forward"]

    assert read("tls://logs.example:6514") == ("tls", "logs.example", 6514)
    assert read("udp://[::1]:514") == ("udp", "::1", 514)
    assert read("off") is None
