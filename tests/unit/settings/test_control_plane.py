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
