"""The engine runs the plugins of the plain statement, in its order."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.reference import ordering
from tests.reference.deciding import Engine

BUNDLED = [
    ("cors", 2000),
    ("key-auth", 1250),
    ("acl", 950),
    ("twin-of-acl", 950),
    ("limit", 910),
    ("log", 12),
    ("last", -1),
]
ROUTES = {"r1": "s1", "r2": "s1", "r3": "s2", "r4": None}
CONSUMERS = ["c1", "c2"]
# By their names; the ids sort the other way.
GROUPS = {"g2": "gold", "g1": "iron"}


def row(index: int, name: str, scope: dict[str, str | None], does: dict[str, Any]) -> dict[str, Any]:
    """A configured plugin."""
    config = {"finds": does["finds"], "answers": does["answers"]}
    asked = {"condition": does["condition"], "ordering": does["ordering"]}
    return {"id": f"p{index}", "name": name, "config": config, "protocols": ["http"], "enabled": True, **scope, **asked}


WHOSE = st.one_of(
    st.just((None, None)),
    st.sampled_from(CONSUMERS).map(lambda consumer: (consumer, None)),
    st.sampled_from(sorted(GROUPS)).map(lambda group: (None, group)),
)


def _places(scope: dict[str, Any]) -> dict[str, str | None]:
    return {"route": scope["route"], "service": scope["service"]}


SCOPES = st.fixed_dictionaries(
    {
        "whose": WHOSE,
        "route": st.none() | st.sampled_from(sorted(ROUTES)),
        "service": st.none() | st.sampled_from(["s1", "s2"]),
    }
).map(lambda scope: {"consumer": scope["whose"][0], "consumer_group": scope["whose"][1], **_places(scope)})
MEMBERS = st.fixed_dictionaries(
    {consumer: st.lists(st.sampled_from(sorted(GROUPS)), unique=True) for consumer in CONSUMERS}
)
NAMES = st.lists(st.sampled_from([name for name, _ in BUNDLED]), max_size=2, unique=True)
ORDERINGS = st.fixed_dictionaries(
    {"before": st.none() | st.fixed_dictionaries({"access": NAMES}), "after": st.fixed_dictionaries({"access": NAMES})}
)
DOES = st.fixed_dictionaries(
    {
        "finds": st.none() | st.sampled_from(CONSUMERS),
        "answers": st.sampled_from([False] * 9 + [True]),
        "condition": st.sampled_from([None, None, *ordering.CONDITIONS]),
        "ordering": st.sampled_from([True, False, False]).flatmap(lambda asks: ORDERINGS if asks else st.none()),
    }
)
PLUGINS = st.lists(
    st.tuples(
        st.sampled_from([name for name, _ in BUNDLED]),
        SCOPES,
        DOES,
    ),
    max_size=25,
    # One configuration per plugin and scope, as the control plane sees to it.
    unique_by=lambda plugin: (plugin[0], *plugin[1].values()),
).map(lambda plugins: [row(index, *plugin) for index, plugin in enumerate(plugins)])


def table(plugins: list[dict[str, Any]], members: dict[str, list[str]]) -> str:
    """The whole configuration."""
    route = {
        "protocols": ["http"], "https_redirect_status_code": 426, "strip_path": True, "preserve_host": False,
        "request_buffering": True, "response_buffering": True, "paths": ["/"],
    }  # fmt: skip
    service = {"protocol": "http", "host": "a.test", "port": 80, "enabled": True}
    return json.dumps(
        {
            "services": [{"id": each, **service} for each in ("s1", "s2")],
            "routes": [{"id": each, "service": of, **route} for each, of in ROUTES.items()],
            "consumers": [{"id": each, "username": each} for each in CONSUMERS],
            "consumer_groups": [{"id": each, "name": name} for each, name in GROUPS.items()],
            "consumer_group_consumers": [
                {"id": f"{group}-{consumer}", "consumer": consumer, "consumer_group": group}
                for consumer, groups in members.items()
                for group in groups
            ],
            "plugins": plugins,
        }
    )


def is_refused(plugins: list[dict[str, Any]], groups: dict[str, list[str]]) -> bool:
    """Whether a plugin names itself, or some request could meet plugins that wait for each other."""
    if any(plugin["name"] in [*ordering.before(plugin), *ordering.after(plugin)] for plugin in plugins):
        return True
    names = [name for name, _ in BUNDLED]
    scopes = itertools.product([None, *CONSUMERS], [(None, None), *ROUTES.items()])
    return any(
        ordering.has_circle(ordering.applying(names, plugins, (consumer, route, service), groups))
        for consumer, (route, service) in scopes
    )


@settings(settings.get_profile("reference"), max_examples=600)
@given(PLUGINS, MEMBERS, st.none() | st.sampled_from(sorted(ROUTES)))
def test_plugins_run_as_the_plain_statement_says(
    engine: Engine, plugins: list[dict[str, Any]], members: dict[str, list[str]], route: str | None
) -> None:
    answer = engine.decide("plugins", bundled=BUNDLED, table=table(plugins, members), route=route)
    service = ROUTES[route] if route else None
    by_name = {consumer: sorted(groups, key=GROUPS.__getitem__) for consumer, groups in members.items()}
    if "refused" in answer:
        assert is_refused(plugins, by_name), answer
        return
    assert not is_refused(plugins, by_name)
    wanted = ordering.course(BUNDLED, plugins, route, service, by_name)
    assert answer == {"ran": wanted.ran, "filtered": wanted.filtered}


# Everywhere, and not in need of much: the plugins are about each other, all of them.
EVERYWHERE: dict[str, str | None] = dict.fromkeys(["consumer", "consumer_group", "route", "service"])
DENSE = st.lists(
    st.tuples(st.sampled_from([name for name, _ in BUNDLED]), ORDERINGS), min_size=3, unique_by=lambda plugin: plugin[0]
)


def everywhere(name: str, asked: dict[str, Any], index: int = 0) -> dict[str, Any]:
    """A plugin that applies to every request and only asks for a place."""
    return row(index, name, EVERYWHERE, {"finds": None, "answers": False, "condition": None, "ordering": asked})


@settings(settings.get_profile("reference"), max_examples=600)
@given(DENSE)
@example([("key-auth", {"after": {"access": ["limit"]}}), ("acl", {"after": {"access": ["limit"]}}), ("limit", {})])
@example(
    [
        ("key-auth", {"after": {"access": ["log"]}}),
        ("acl", {"after": {"access": ["limit"]}}),
        ("limit", {}),
        ("log", {}),
    ]
)
def test_no_plugin_is_lost_where_many_are_set_against_each_other(
    engine: Engine, asking: list[tuple[str, dict[str, Any]]]
) -> None:
    plugins = [everywhere(name, asked, index) for index, (name, asked) in enumerate(asking)]
    answer = engine.decide("plugins", bundled=BUNDLED, table=table(plugins, {}), route="r1")
    if "refused" in answer:
        assert is_refused(plugins, {}), answer
        return
    wanted = ordering.course(BUNDLED, plugins, "r1", "s1", {})
    assert answer == {"ran": wanted.ran, "filtered": wanted.filtered}
    assert sorted(answer["ran"]) == sorted(plugin["id"] for plugin in plugins)
