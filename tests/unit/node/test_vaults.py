"""References to secrets: where they are resolved, what they are resolved to, and how the others are told."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from twinplane.node.errors import PayloadRefused
from twinplane.node.vaults import Vaults

_ID = "4f1c2b9e-55f0-4b0e-8f5e-3a3f3d3f4b11"


def _http_log(**config: Any) -> dict[str, Any]:
    return {"id": _ID, "name": "http-log", "config": config}


def _resolved(environ: dict[str, str], **table: Any) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(Vaults(environ).resolved(orjson.dumps(table)))
    return found


@pytest.mark.parametrize(
    ("reference", "environ"),
    [
        ("{vault://env/log-sink}", {"LOG_SINK": "http://a"}),
        ("{vault://env/log_sink}", {"LOG_SINK": "http://a"}),
        ("{vault://env/sinks/log}", {"SINKS": '{"log":"http://a"}'}),
        ("{vault://env/sink?prefix=log-}", {"LOG_SINK": "http://a"}),
        ("{vault://mine/sink}", {"LOG_SINK": "http://a"}),
    ],
)
def test_a_reference_is_a_variable_of_the_environment(reference: str, environ: dict[str, str]) -> None:
    vault = {"id": _ID, "prefix": "mine", "name": "env", "config": {"prefix": "log_"}}
    table = _resolved(environ, vaults=[vault], plugins=[_http_log(http_endpoint=reference)])
    assert table["plugins"][0]["config"]["http_endpoint"] == "http://a"
    assert table["vaults"] == [vault]


def test_references_are_found_at_every_depth_and_in_entities() -> None:
    plugin = _http_log(http_endpoint="http://a", headers={"x-key": "{vault://env/key}", "x-other": "plain"})
    certificate = {"id": _ID, "cert": "{vault://env/cert}", "key": "{vault://env/key}"}
    table = _resolved({"KEY": "k", "CERT": "c"}, plugins=[plugin], certificates=[certificate])
    assert table["plugins"][0]["config"]["headers"] == {"x-key": "k", "x-other": "plain"}
    assert table["certificates"] == [{"id": _ID, "cert": "c", "key": "k"}]


def test_what_may_hold_no_reference_stays_as_it_is() -> None:
    consumer = {"id": _ID, "username": "{vault://env/key}"}
    plugin = _http_log(method="{vault://env/key}", http_endpoint="http://a")
    table = _resolved({"KEY": "k"}, consumers=[consumer], plugins=[plugin])
    assert table == {"consumers": [consumer], "plugins": [plugin]}


def test_a_table_without_references_is_handed_on_as_it_is() -> None:
    table = b'{"plugins": [ ]}'
    assert Vaults({}).resolved(table) is table


def test_every_reference_that_leads_nowhere_is_told_with_its_path() -> None:
    headers = {
        "a": "{vault://env/gone}",
        "b": "{vault://nowhere/x}",
        "c": "{vault://env/text/key}",
        "d": "{vault://env/json/key}",
        "e": "{vault://env}",
    }
    table = orjson.dumps({"plugins": [_http_log(http_endpoint="http://a", headers=headers)]})
    with pytest.raises(PayloadRefused) as refused:
        Vaults({"TEXT": "s3cret", "JSON": '{"other":"s3cret"}'}).resolved(table)
    assert [(fault["entity"], fault["id"], fault["field"]) for fault in refused.value.faults] == [
        ("plugins", _ID, f"config.headers.{name}") for name in headers
    ]
    told = str(refused.value)
    assert (
        f"plugins http-log {_ID}: config.headers.a: {{vault://env/gone}} leads nowhere: the variable GONE is not set"
        in told
    )
    assert "{vault://nowhere/x} names no vault of this node" in told
    assert "s3cret" not in told
