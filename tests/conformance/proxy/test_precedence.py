"""Which of several configurations of a plugin runs: all levels, groups of consumers too, through a real gateway."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from tests.plugin_cases import Gateway, gateway

from twinplane import _dataplane  # noqa: TID251  # what a node refuses is told by its core

# The most specific first: c a consumer, g a group of consumers, r a route, s a service.
LEVELS = ["crs", "grs", "cr", "cs", "gr", "gs", "rs", "c", "g", "r", "s", ""]
_SCOPES = {"c": ("consumer", "bob"), "g": ("consumer_group", "gold"), "r": ("route", "r"), "s": ("service", "s")}
_PLUGIN_ID = "4f1c2b9e-55f0-4b0e-8f5e-3a3f3d3f4b11"


def _termination(scope: str, status: int, **more: Any) -> dict[str, Any]:
    named = {_SCOPES[letter][0]: _SCOPES[letter][1] for letter in scope}
    return {"name": "request-termination", "config": {"status_code": status}, **named, **more}


def _config(plugins: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "_format_version": "3.0",
        "consumers": [
            {"username": "bob", "keyauth_credentials": [{"key": "k1"}]},
            {"username": "eve", "keyauth_credentials": [{"key": "k2"}]},
        ],
        "consumer_groups": [{"name": "silver"}, {"name": "gold"}],
        "consumer_group_consumers": [
            {"consumer": "bob", "consumer_group": "gold"},
            {"consumer": "bob", "consumer_group": "silver"},
            {"consumer": "eve", "consumer_group": "silver"},
        ],
        "services": [
            {
                "name": "s",
                "url": "http://127.0.0.1:<echo-port>",
                "routes": [{"name": "r", "paths": ["/"]}, {"name": "other", "paths": ["/other"]}],
            }
        ],
        "plugins": [{"name": "key-auth"}, *plugins],
    }


def _status(running: Gateway, path: str = "/", key: str = "k1") -> int | None:
    return running.send(f"GET {path} HTTP/1.1\r\nHost: a\r\napikey: {key}\r\n\r\n").status


@pytest.mark.parametrize("first", range(len(LEVELS)))
def test_the_most_specific_configuration_runs(first: int) -> None:
    plugins = [_termination(scope, 400 + at) for at, scope in enumerate(LEVELS) if at >= first]
    with gateway(_config(plugins[::-1])) as running:
        assert running.node.applied.issues == []
        assert _status(running) == 400 + first


@pytest.mark.parametrize("pair", list(itertools.pairwise(["grs", "gr", "gs", "g"])), ids="-".join)
def test_of_two_for_a_group_the_more_specific_runs(pair: tuple[str, str]) -> None:
    with gateway(_config([_termination(pair[1], 402), _termination(pair[0], 401)])) as running:
        assert _status(running) == 401


def test_of_two_groups_the_first_by_name_counts() -> None:
    silver = {**_termination("", 402), "consumer_group": "silver"}
    with gateway(_config([silver, _termination("g", 401)])) as running:
        assert _status(running) == 401
        assert _status(running, key="k2") == 402


def test_a_more_specific_scope_of_a_later_group_wins() -> None:
    silver = {**_termination("r", 402), "consumer_group": "silver"}
    with gateway(_config([_termination("g", 401), silver])) as running:
        assert _status(running) == 402
        assert _status(running, "/other") == 401


def test_a_plugin_of_a_group_acts_for_its_members_alone() -> None:
    with gateway(_config([_termination("g", 401)])) as running:
        assert _status(running) == 401
        assert _status(running, key="k2") == 200


def test_an_instance_name_is_a_label_and_nothing_more() -> None:
    named = _termination("", 401, instance_name="one")
    with gateway(_config([named, _termination("r", 402, instance_name="two")])) as running:
        assert _status(running) == 402
        assert _status(running, "/other") == 401


def test_a_plugin_is_for_a_consumer_or_for_a_group() -> None:
    both = _termination("cg", 401, id=_PLUGIN_ID)
    with pytest.raises(_dataplane.ApplyError, match=rf"{_PLUGIN_ID}.*only one of them"), gateway(_config([both])):
        pass


@pytest.mark.parametrize("name", ["pre-function", "post-function"])
def test_a_plugin_that_is_lua_is_refused_with_its_path_and_a_way_out(name: str) -> None:
    plugin = {"name": name, "id": _PLUGIN_ID, "route": "r", "config": {"access": ["return"]}}
    refused = rf'"plugins","id":"{_PLUGIN_ID}".*runs Lua.*plugin in Python'
    with pytest.raises(_dataplane.ApplyError, match=refused), gateway(_config([plugin])):
        pass
