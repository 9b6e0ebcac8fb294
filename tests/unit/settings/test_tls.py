"""Cipher suites and versions as `kong.conf` names them, and what of them is spoken."""

from __future__ import annotations

import pytest

from twinplane.settings import SettingsError, load_node_settings
from twinplane.settings.tls import TLS12, TLS13, TlsChoice, choose_tls, read_versions

BOTH = ("TLSv1.2", "TLSv1.3")


def choice(suite: str, ciphers: str = "", versions: tuple[str, ...] = BOTH, *, own: bool = True) -> TlsChoice:
    return choose_tls(suite, ciphers, versions, prefers_own_order=own)


def test_named_suites() -> None:
    assert choice("intermediate") == TlsChoice(BOTH, (*TLS13, *TLS12), False)
    assert choice("modern") == TlsChoice(("TLSv1.3",), TLS13, False)
    old = choice("old")
    assert (old.versions, old.suites) == (BOTH, (*TLS13, *TLS12))
    assert "served as intermediate" in old.warnings[0]
    with pytest.raises(ValueError, match="fips is not to be had"):
        choice("fips")


def test_versions_narrow_suites() -> None:
    assert choice("intermediate", versions=("TLSv1.3",)).suites == TLS13
    assert choice("intermediate", versions=("TLSv1.2",)).suites == TLS12
    with pytest.raises(ValueError, match="goes with ssl_cipher_suite = modern"):
        choice("modern", versions=("TLSv1.2",))
    told = choice("intermediate", versions=("TLSv1.1", "TLSv1.2"))
    assert told.versions == ("TLSv1.2",)
    assert told.warnings == ("ssl_protocols: TLSv1.1 is not spoken",)


@pytest.mark.parametrize(
    ("ciphers", "wanted", "warned"),
    [
        ("ECDHE-RSA-AES128-GCM-SHA256", (*TLS13, "ECDHE-RSA-AES128-GCM-SHA256"), 0),
        ("TLS_AES_128_GCM_SHA256", ("TLS_AES_128_GCM_SHA256",), 0),
        ("ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-SHA:RC4-MD5", (*TLS13, "ECDHE-RSA-AES128-GCM-SHA256"), 2),
        ("HIGH:!aNULL:!MD5:!CHACHA20", (*TLS13, *(each for each in TLS12 if "CHACHA20" not in each)), 0),
        ("ECDHE+AESGCM+aRSA", (*TLS13, "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"), 0),
        ("DHE+AESGCM", TLS13, 1),
        ("EECDH+AES128:+aECDSA:@STRENGTH", (*TLS13, "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"), 0),
    ],
)
def test_lists_of_ciphers_are_read_as_openssl_does(ciphers: str, wanted: tuple[str, ...], warned: int) -> None:
    found = choice("custom", ciphers)
    assert found.suites == wanted
    assert len(found.warnings) == warned
    assert found.prefers_own_order
    assert not choice("custom", ciphers, own=False).prefers_own_order


def test_what_cannot_be_spoken_is_refused() -> None:
    for ciphers in ("", "NO_SUCH", "ECDHE-RSA-AES128-GCM-SHA257"):
        with pytest.raises(ValueError, match="ssl_ciphers"):
            choice("custom", ciphers)
    with pytest.raises(ValueError, match="ssl_protocols"):
        choice("custom", "RC4-MD5", ("TLSv1.2",))
    for text in ("SSLv3", "TLSv1.1", "TLSv1.2 nonsense"):
        with pytest.raises(ValueError, match=r"spoken"):
            read_versions(text)


def test_mistakes_and_warnings_come_with_the_settings() -> None:
    minimal = {"KONG_CLUSTER_CERT": "/c", "KONG_CLUSTER_CERT_KEY": "/k"}
    environ = {**minimal, "KONG_SSL_CIPHER_SUITE": "fips", "KONG_CLIENT_SSL": "on", "KONG_STATUS_SSL_CERT": "/a,/b"}
    with pytest.raises(SettingsError) as caught:
        load_node_settings(None, environ)
    assert [mistake.name for mistake in caught.value.mistakes] == [
        "ssl_cipher_suite",
        "client_ssl_cert",
        "status_ssl_cert",
    ]
    environ = {**minimal, "KONG_SSL_CIPHER_SUITE": "old", "KONG_STATUS_LISTEN": "127.0.0.1:8007 ssl http2"}
    warnings = load_node_settings(None, environ).warnings
    assert any("served as intermediate" in each for each in warnings)
    assert any("HTTP/1.1 only" in each for each in warnings)
