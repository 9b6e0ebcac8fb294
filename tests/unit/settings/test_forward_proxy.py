"""How `proxy_server` is read, and that nothing told of a mistake gives a password away."""

from __future__ import annotations

import pytest

from twinplane.settings import SettingsError, load_node_settings
from twinplane.settings.forward_proxy import ProxyAddress, read_proxy_server


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("http://proxy.example:3128", ProxyAddress("proxy.example", 3128, False)),
        ("https://proxy.example", ProxyAddress("proxy.example", 443, True)),
        ("HTTP://proxy.example/", ProxyAddress("proxy.example", 80, False)),
        ("http://[2001:db8::1]:3128", ProxyAddress("2001:db8::1", 3128, False)),
        ("http://ada:p%40ss%3Aw%2F%C3%A4@h:1", ProxyAddress("h", 1, False, "ada", "p@ss:w/ä")),
        ("http://ada@h:1", ProxyAddress("h", 1, False, "ada", None)),
    ],
)
def test_addresses_are_read(text: str, wanted: ProxyAddress) -> None:
    assert read_proxy_server(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "proxy.example:3128",
        "socks5://u:s3cret@h:1",
        "http://",
        "http://u:s3cret@:1",
        "http://u:s3cret@h:99999",
        "http://u:s3cret@h:0",
        "http://u:s3cret@h:1/path",
        "http://u:s3cret@h:1?q",
        "http://u:s3cret@h:1#f",
        "http://u:s3cret/x@h:1",
        "http://a%3Ab:s3cret@h:1",
        "http://u:s3cret%zz@h:1",
        "http://u:s3cret%ff@h:1",
        "http://u:s3 cret@h:1",
        "http://u:s3cret@h\r\nX: y",
        "http://" + "h" * 5000,
    ],
)
def test_what_is_no_address_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_proxy_server(text)
    assert "s3cret" not in str(caught.value)


def test_mistakes_are_told_with_the_others_before_anything_starts() -> None:
    environ = {"KONG_CLUSTER_USE_PROXY": "on", "KONG_PROXY_SERVER": "ftp://u:s3cret@h", "KONG_PROXY_LISTEN": "off"}
    with pytest.raises(SettingsError) as caught:
        load_node_settings(None, environ)
    told = str(caught.value)
    assert "proxy_server: must begin with http:// or https://, not ftp://" in told
    assert "proxy_listen" in told
    assert "s3cret" not in told
    with pytest.raises(SettingsError, match="proxy_server: is required with cluster_use_proxy"):
        load_node_settings(None, {"KONG_CLUSTER_USE_PROXY": "on"})
