"""Which nodes are sent nothing: missing plugins and filters, other versions of them, routers that cannot."""

from __future__ import annotations

from typing import Any

import pytest

from twinplane.hybrid.wire import BasicInfo, parse_version
from twinplane.hybrid.withhold import uses_of, why_withheld

CORS = {"plugins": [{"id": "p", "name": "cors"}]}
CHAIN = {"id": "c", "enabled": True, "filters": [{"name": "geo", "enabled": True}]}


def found(table: dict[str, Any], plugins: dict[str, str | None], *filters: str, version: str = "3.9.3") -> Any:
    parsed = parse_version(version)
    assert parsed is not None
    return why_withheld(uses_of(table), BasicInfo(plugins, filters=filters), parsed)


@pytest.mark.parametrize(
    ("installed", "status"),
    [
        ({"cors": "3.9.3"}, None),
        ({"cors": None}, None),
        ({"cors": "odd"}, None),
        ({"cors": "3.9.3", "own": "0.1.0"}, None),
        ({}, "plugin_set_incompatible"),
        ({"cors": "2.0.0"}, "plugin_version_incompatible"),
        ({"cors": "3.16.0"}, "plugin_version_incompatible"),
    ],
)
def test_plugins_of_a_node(installed: dict[str, str | None], status: str | None) -> None:
    why = found(CORS, installed)
    assert (why.status if why else None) == status
    if why:
        assert why.issue.severity == "error"
        assert why.issue.affected_resources == [{"id": "p", "type": "plugin"}]
        assert why.issue.documentation_url.startswith("docs/reference/compatibility.md#plugin-")


def test_an_old_opentelemetry_is_taken_as_it_is() -> None:
    assert found({"plugins": [{"name": "opentelemetry"}]}, {"opentelemetry": "0.1.0"}) is None


@pytest.mark.parametrize(
    ("chain", "is_taken"),
    [
        (CHAIN, False),
        (CHAIN | {"enabled": False}, True),
        (CHAIN | {"filters": [{"name": "geo", "enabled": False}]}, True),
        (CHAIN | {"filters": [{"name": "other"}]}, True),
    ],
)
def test_filters_of_a_node(chain: dict[str, Any], is_taken: bool) -> None:
    why = found({"filter_chains": [chain]}, {}, "other")
    assert (why is None) == is_taken
    if why:
        assert (why.status, why.name) == ("filter_set_incompatible", "geo")
        assert why.issue.affected_resources == [{"id": "c", "type": "filter_chain"}]


def test_routes_of_both_forms_need_a_newer_node() -> None:
    both = {"routes": [{"id": "a", "expression": 'http.path == "/"'}, {"id": "b", "paths": ["/"]}]}
    why = found(both, {}, version="3.6.1")
    assert (why.status, why.issue.code) == (None, "expressions_mixed")
    assert found(both, {}, version="3.7.0") is None
    for routes in (both["routes"][:1], both["routes"][1:]):
        assert found({"routes": routes}, {}, version="3.6.1") is None
