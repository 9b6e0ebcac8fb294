"""Forms of the access log, as a `kong.conf` writes them."""

from __future__ import annotations

import re

import pytest

from twinplane.settings import SettingsError, load_node_settings
from twinplane.settings.log_format import read_log_format

MINIMAL = {"KONG_CLUSTER_CERT": "/c.pem", "KONG_CLUSTER_CERT_KEY": "/c.key"}


def test_a_form_is_read_as_nginx_reads_it() -> None:
    found = read_log_format(
        """own escape=json '{"a":"$remote_addr",' "\\"b\\":\\"${http_User_Agent}x\\"" plain$arg_Q"""
    )
    assert (found.name, found.escape) == ("own", "json")
    assert found.parts == (
        ("text", '{"a":"'),
        ("value", "remote_addr"),
        ("text", '","b":"'),
        ("request_header", "user-agent"),
        ("text", 'x"plain'),
        ("argument", "Q"),
    )


def test_names_of_one_thing_are_one() -> None:
    found = read_log_format("own '$query_string $kong_request_id $sent_http_x_a\\t$document_uri'")
    assert found.parts == (
        ("value", "args"),
        ("text", " "),
        ("value", "request_id"),
        ("text", " "),
        ("response_header", "x-a"),
        ("text", "\t"),
        ("value", "uri"),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("own '$geoip_city $status $nobody ${nobody} $'", "unknown variables $geoip_city, $nobody, $"),
        ("own '$upstream_http_x'", "unknown variable $upstream_http_x"),
        ("own", "expected a text behind the name"),
        ("'$status' b", "expected a name and a text"),
        ("own 'a", "a quote is missing"),
        ("own 'a'b", "a quote is missing or in the way"),
        ("combined '$status'", "'combined' is there already"),
        (
            "own escape=xml '$status $a'",
            "expected escape=default, escape=json, escape=none, got escape=xml; unknown variable $a",
        ),
    ],
)
def test_what_is_wrong_with_a_form_is_told_at_once(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        read_log_format(text)


def test_a_log_names_a_form_that_there_is() -> None:
    given = {**MINIMAL, "KONG_PROXY_ACCESS_LOG": "logs/a.log own"}
    with pytest.raises(SettingsError, match="proxy_access_log: there is no format 'own'"):
        load_node_settings(None, given)
    given["KONG_NGINX_HTTP_LOG_FORMAT"] = "own '$status'"
    settings = load_node_settings(None, given)
    assert settings.masked()["proxy_access_log"] == settings.typed()["proxy_access_log"] == "logs/a.log own"
    assert settings.typed()["nginx_http_log_format"] == "own '$status'"
