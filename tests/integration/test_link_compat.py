"""What a node that cannot take a configuration is told and what stands on its row, over the real socket."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.link_peer import BINARY, PONG, eventually
from tests.integration.test_link_server import Running, running

__all__ = ["running"]

SERVICE = "2d0a3f4e-1111-4222-8333-444455556666"


async def test_routes_of_both_forms_are_withheld_from_an_older_router(running: Running) -> None:
    routes = [{"id": "a", "expression": 'http.path == "/"'}, {"id": "b", "paths": ["/"]}]
    running.publish(1, routes=routes)
    node = await running.connect(version="3.6.1")
    await node.hello()
    row = await eventually(lambda: (row := running.row()) and row.issues and row)
    assert (row.sync_status, row.issues[0].code) == ("unknown", "expressions_mixed")
    # The link goes on, and the next push is tried again.
    await node.ping()
    assert (await node.receive_kind(PONG)).data == b""
    running.publish(2, routes=routes[1:])
    assert (await node.configuration())["config_table"]["routes"][0]["id"] == "b"
    row = await eventually(lambda: (row := running.row()).sync_status == "normal" and not row.issues and row)


async def test_a_filter_that_the_node_lacks_withholds(running: Running) -> None:
    chain = {"id": "c", "enabled": True, "filters": [{"name": "geo", "enabled": True}]}
    running.publish(1, filter_chains=[chain])
    node = await running.connect()
    await node.hello()
    await eventually(lambda: (row := running.row()) and row.sync_status == "filter_set_incompatible")
    await node.receive_nothing(0.1)
    node.close()
    node = await running.connect()
    await node.hello(filters={"geo": {"name": "geo"}})
    assert (await node.configuration())["config_table"]["filter_chains"][0]["id"] == "c"
    await eventually(lambda: running.row().sync_status == "normal")


async def test_an_error_report_names_entity_and_field(running: Running) -> None:
    node, message = await running.joined()

    def fault(config_hash: str, *errors: dict[str, Any]) -> bytes:
        flattened = {"entity_type": "service", "entity_id": SERVICE, "errors": list(errors)}
        error = {
            "name": "declarative configuration parse failure",
            "source": "kong.db.declarative.parse_table",
            "code": 14,
            "config_hash": config_hash,
            "message": "declarative config is invalid: {…}",
            "flattened_errors": [flattened],
        }
        return json.dumps({"type": "error", "error": error}).encode()

    unknown = {"type": "field", "field": "extra_field", "message": "unknown field"}
    missing = {"type": "field", "field": "host", "message": "required field missing"}
    for _ in range(50):
        await node.send(BINARY, fault(message["config_hash"], unknown, missing))
    row = await eventually(lambda: (row := running.row()) and row.issues and row)
    # However often it is said: once.
    assert [(issue.code, issue.description) for issue in row.issues] == [
        ("config_refused", "service.extra_field: unknown field"),
        ("config_refused", "service.host: required field missing"),
    ]
    assert row.issues[0].affected_resources == [{"id": SERVICE, "type": "service"}]
    assert row.compatibility_state == "COMPATIBILITY_STATE_INCOMPATIBLE"
    for error in ("generic or unknown error", "configuration reload failed"):
        said = {"type": "error", "error": {"name": error, "message": "map full", "exception": "x", "traceback": "y"}}
        await node.send(BINARY, json.dumps(said).encode())
        text = f"{error}: map full"
        await eventually(lambda text=text: [issue.description for issue in running.row().issues] == [text])


async def test_an_incompatible_version_is_told_on_the_row(running: Running) -> None:
    node = await running.connect(version="3.16.0")
    await node.hello()
    assert await node.ended()
    row = await eventually(lambda: (row := running.row()) and row.issues and row)
    assert (row.sync_status, row.issues[0].code) == ("kong_version_incompatible", "version_refused")


async def test_a_node_that_is_older_is_told_what_it_loses(running: Running) -> None:
    plugins = [{"id": "p", "name": "key-auth", "config": {"key_names": ["k"], "realm": "r"}}]
    running.publish(1, plugins=plugins)
    node = await running.connect(version="3.6.1")
    await node.hello()
    assert "realm" not in (await node.configuration())["config_table"]["plugins"][0]["config"]
    row = await eventually(lambda: (row := running.row()) and row.issues and row)
    (issue,) = row.issues
    assert (issue.code, issue.severity) == ("field_unknown:key-auth.realm", "warning")
    assert issue.documentation_url == "docs/reference/compatibility.md#field-unknown-key-auth-realm"
    assert issue.resolution
