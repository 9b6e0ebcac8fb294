"""Listen directives and maps of ports."""

from __future__ import annotations

import pytest

from twinplane.settings import SettingsError, load_node_settings, read_listeners
from twinplane.settings.listeners import Keepalive, read_port_maps, read_stream_listeners

MINIMAL = {"KONG_CLUSTER_CERT": "/c", "KONG_CLUSTER_CERT_KEY": "/k"}


def test_flags_and_addresses_are_read() -> None:
    plain, secure = read_listeners("0.0.0.0:8000 reuseport backlog=99, [::1]:8443 http2 ssl so_keepalive=on")
    assert (plain.address, plain.port, plain.backlog, plain.tls) == ("0.0.0.0", 8000, 99, False)
    assert (plain.reuseport, plain.keepalive) == (True, None)
    assert (secure.address, secure.tls, secure.http2, secure.keepalive) == ("::1", True, True, Keepalive())
    assert (secure.shown, plain.shown) == ("[::1]:8443", "0.0.0.0:8000")


def test_every_flag_of_kong_is_known() -> None:
    text = "[::]:8443 ssl http2 proxy_protocol deferred bind reuseport backlog=1 ipv6only=off so_keepalive=30m::10"
    (every,) = read_listeners(text)
    assert (every.proxy_protocol, every.deferred, every.reuseport, every.ipv6only) == (True, True, True, False)
    assert every.keepalive == Keepalive(1800, None, 10)
    (named,) = read_listeners("localhost:80")
    assert named.address == "localhost"
    (off,) = read_listeners("127.0.0.1:1 so_keepalive=off")
    assert off.keepalive is None


def test_off_is_no_listener() -> None:
    assert read_listeners("off") == ()


@pytest.mark.parametrize(
    "text",
    [
        "8000",
        "1.2.3.4",
        "1.2.3.4:x",
        "1.2.3.4:70000",
        "1.2.3.4:80 fast",
        "300.0.0.1:80",
        "::1:80",
        "[::1:80",
        "[fe80::1%eth0]:80",
        "[name]:80",
        "a b:80",
        "-x:80",
        "unix:/run/x",
        "off, 1.2.3.4:80",
        ",",
        "1.2.3.4:80 udp",
        "1.2.3.4:80 backlog=0",
        "1.2.3.4:80 backlog=-1",
        "1.2.3.4:80 backlog=99999999999",
        "1.2.3.4:80 backlog=5 backlog=6",
        "1.2.3.4:80 ipv6only=on",
        "[::1]:80 ipv6only=maybe",
        "1.2.3.4:80 so_keepalive=yes",
        "1.2.3.4:80 so_keepalive=::",
        "1.2.3.4:80 so_keepalive=1:2",
        "1.2.3.4:80 so_keepalive=30y::",
        "1.2.3.4:80 so_keepalive=20h::",
        "1.2.3.4:80 so_keepalive=::200",
        "1.2.3.4:80 so_keepalive=::0",
        "1.2.3.4:80, 1.2.3.4:80 ssl",
        "0.0.0.0:80, 1.2.3.4:80",
        "[::]:80, [::1]:80 ssl",
        "[::]:80 ipv6only=off, 1.2.3.4:80",
        "[0:0::1]:80, [::1]:80",
    ],
)
def test_what_is_no_listener_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_listeners(text)


def test_several_addresses_may_share_a_port_number() -> None:
    assert len(read_listeners("127.0.0.1:80, 127.0.0.2:80, [::]:80, [::1]:81, 0.0.0.0:0, 0.0.0.0:0")) == 6


def test_everything_wrong_with_a_directive_is_told_at_once() -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_listeners("1.2.3.4:80 fast slow backlog=x, [::1]:x ssl, unix:/x")
    told = str(caught.value)
    for part in ("'fast'", "'slow'", "backlog", "[::1]:x: expected a port", "file system"):
        assert part in told, told


def test_wrong_listeners_are_told_with_all_else_before_a_port_opens() -> None:
    environ = {
        **MINIMAL,
        "KONG_PROXY_LISTEN": "0.0.0.0:8000 quick",
        "KONG_STATUS_LISTEN": "127.0.0.1:8007 udp",
        "KONG_ADMIN_LISTEN": "somewhere",
        "KONG_PORT_MAPS": "80:8000, 81:8000, x",
        "KONG_SSL_CIPHER_SUITE": "best",
        "KONG_SSL_PROTOCOLS": "SSLv3",
    }
    with pytest.raises(SettingsError) as caught:
        load_node_settings(None, environ)
    named = {mistake.name for mistake in caught.value.mistakes}
    assert named == {"proxy_listen", "status_listen", "admin_listen", "port_maps", "ssl_cipher_suite", "ssl_protocols"}


def test_two_directives_cannot_have_one_port() -> None:
    environ = {**MINIMAL, "KONG_PROXY_LISTEN": "0.0.0.0:8007", "KONG_STATUS_LISTEN": "127.0.0.1:8007"}
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:8007 is taken by 0\.0\.0\.0:8007 of proxy_listen already"):
        load_node_settings(None, environ)


def test_streams_have_flags_of_their_own() -> None:
    listeners = read_stream_listeners("0.0.0.0:9000, [::1]:9443 ssl proxy_protocol backlog=7, 1.2.3.4:53 udp reuseport")
    assert [(each.tls, each.udp, each.stream) for each in listeners] == [
        (False, False, True),
        (True, False, True),
        (False, True, True),
    ]
    assert read_stream_listeners("1.2.3.4:1 tls")[0].tls
    with pytest.raises(ValueError, match=r".") as caught:
        read_stream_listeners("1.2.3.4:53 udp ssl backlog=5, 1.2.3.4:80 http2, 1.2.3.4:81 deferred")
    told = str(caught.value)
    for part in ("'ssl' is not for udp", "'backlog' is not for udp", "'http2' is not for", "'deferred' is not for"):
        assert part in told, told


def test_datagrams_and_connections_may_share_a_port() -> None:
    assert len(read_stream_listeners("1.2.3.4:53, 1.2.3.4:53 udp")) == 2
    environ = {**MINIMAL, "KONG_PROXY_LISTEN": "0.0.0.0:8000", "KONG_STREAM_LISTEN": "1.2.3.4:8000 ssl"}
    with pytest.raises(
        SettingsError, match=r"stream_listen: 1\.2\.3\.4:8000 is taken by 0\.0\.0\.0:8000 of proxy_listen"
    ):
        load_node_settings(None, environ)
    load_node_settings(None, {**environ, "KONG_STREAM_LISTEN": "1.2.3.4:8000 udp"})


def test_listeners_that_are_off_are_not_warned_of() -> None:
    off = {"KONG_STREAM_LISTEN": "off", "KONG_ADMIN_LISTEN": "off", "KONG_ADMIN_GUI_LISTEN": "off"}
    assert load_node_settings(None, {**MINIMAL, **off}).warnings == ()


def test_port_maps_and_host_ports_add_up() -> None:
    assert read_port_maps("80:8000, 443:8443") == ((80, 8000), (443, 8443))
    for text in ("80", "0:1", "1:0", "70000:1", "80:8000,81:8000", "a:b", "80:8000,"):
        with pytest.raises(ValueError, match=r"."):
            read_port_maps(text)
    settings = load_node_settings(None, {**MINIMAL, "KONG_PORT_MAPS": "80:8000", "KONG_HOST_PORTS": "443:8443"})
    assert settings.port_maps == ((80, 8000), (443, 8443))
    assert settings.masked()["port_maps"] == "80:8000"
    with pytest.raises(SettingsError, match="port 8000 is mapped to 80 and to 81"):
        load_node_settings(None, {**MINIMAL, "KONG_PORT_MAPS": "80:8000", "KONG_HOST_PORTS": "81:8000"})
