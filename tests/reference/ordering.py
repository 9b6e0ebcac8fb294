"""Which plugins run for a request, and in which order, stated plainly.

Of each plugin one configuration runs, the most specific that applies. The consumer may become known on the way: plugins
after that are chosen with it, plugins before are not looked at again. A plugin that answers ends what runs before the
upstream is asked; what runs after the answer is still everything that applies.

Before the upstream is asked, plugins may want another order than their priorities: the first that waits for none
of the others has its turn, and whatever has to run before it does so first. After the answer priorities alone count. A
plugin whose condition does not hold is passed over in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# What the conditions of these tests come to.
CONDITIONS = {None: True, 'net.protocol == "http"': True, 'net.protocol == "https"': False}
# From most to least specific: which of consumer, group of consumers, route and service a configuration names.
PRECEDENCE = [
    {"consumer", "route", "service"},
    {"consumer_group", "route", "service"},
    {"consumer", "route"},
    {"consumer", "service"},
    {"consumer_group", "route"},
    {"consumer_group", "service"},
    {"route", "service"},
    {"consumer"},
    {"consumer_group"},
    {"route"},
    {"service"},
    set(),
]


@dataclass(frozen=True, slots=True)
class Course:
    """Ids of the plugins that ran before the upstream, and of those that saw the answer."""

    ran: list[str]
    filtered: list[str]


def course(
    bundled: list[tuple[str, int]],
    plugins: list[dict[str, Any]],
    route: str | None,
    service: str | None,
    groups: dict[str, list[str]],
) -> Course:
    """What happens to a request for this route of this service; `groups` of each consumer, by their names."""
    names = [name for name, _priority in sorted(bundled, key=lambda each: (-each[1], each[0]))]
    consumer: str | None = None
    ran: list[str] = []
    applied: list[dict[str, Any]] = []
    has_answer = False
    passed: set[str] = set()
    while to_come := applying(
        [name for name in names if name not in passed], plugins, (consumer, route, service), groups
    ):
        turn, chosen = next_of(to_come)
        # Whoever did not apply when the turn was its own, or behind it, has missed it.
        earlier = names[: names.index(turn["name"])]
        passed.update(name for name in earlier if name not in [plugin["name"] for plugin in to_come])
        passed.add(chosen["name"])
        applied.append(chosen)
        if has_answer or route is None or not CONDITIONS[chosen.get("condition")]:
            continue
        ran.append(chosen["id"])
        consumer = chosen["config"]["finds"] or consumer
        has_answer = chosen["config"]["answers"]
    applied.sort(key=lambda plugin: names.index(plugin["name"]))
    return Course(ran, [plugin["id"] for plugin in applied if CONDITIONS[plugin.get("condition")]])


def applying(
    names: Sequence[str],
    plugins: list[dict[str, Any]],
    scope: tuple[str | None, str | None, str | None],
    groups: dict[str, list[str]],
) -> list[dict[str, Any]]:
    """Of each name the configuration that applies to a consumer, route and service."""
    consumer, route, service = scope
    of_request = {"consumer": consumer, "route": route, "service": service}
    chosen = [
        most_specific(
            [plugin for plugin in plugins if plugin["name"] == name], of_request, groups.get(consumer or "", [])
        )
        for name in names
    ]
    return [plugin for plugin in chosen if plugin is not None]


def next_of(to_come: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one that has its turn, and the one that runs: itself, or one that has to run before it."""
    names = [plugin["name"] for plugin in to_come]
    turn = next(plugin for plugin in to_come if not set(after(plugin)) & set(names))
    chosen = turn
    while firsts := [plugin for plugin in to_come if precedes(plugin, chosen)]:
        chosen = firsts[0]
    return turn, chosen


def precedes(first: dict[str, Any], then: dict[str, Any]) -> bool:
    """Whether one of two configurations has to run before the other."""
    return then["name"] in before(first) or first["name"] in after(then)


def before(plugin: dict[str, Any]) -> list[str]:
    """Names of those that it runs before."""
    return ((plugin.get("ordering") or {}).get("before") or {}).get("access") or []


def after(plugin: dict[str, Any]) -> list[str]:
    """Names of those that it runs after."""
    return ((plugin.get("ordering") or {}).get("after") or {}).get("access") or []


def has_circle(plugins: list[dict[str, Any]]) -> bool:
    """Whether configurations, one of each name, wait for each other."""
    left = list(plugins)
    while left:
        free = [plugin for plugin in left if not any(precedes(other, plugin) for other in left)]
        if not free:
            return True
        left = [plugin for plugin in left if plugin not in free]
    return False


def most_specific(
    plugins: list[dict[str, Any]], scope: dict[str, str | None], groups: list[str]
) -> dict[str, Any] | None:
    """Of those whose whole scope is the request's, the one that names most of it; of groups the first."""
    for named in PRECEDENCE:
        for group in groups if "consumer_group" in named else [None]:
            of_request = {**scope, "consumer_group": group}
            for plugin in plugins:
                wanted = {kind for kind in of_request if plugin[kind] is not None}
                if wanted == named and all(plugin[kind] == of_request[kind] for kind in wanted):
                    return plugin
    return None
