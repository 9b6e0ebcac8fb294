"""Which plugins run for a request, and in which order, stated plainly.

Of each plugin one configuration runs, the most specific that applies. The consumer may become known on the way: plugins
after that are chosen with it, plugins before are not looked at again. A plugin that answers ends what runs before the
upstream is asked; what runs after the answer is still everything that applies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    consumer: str | None = None
    ran: list[str] = []
    filtered: list[str] = []
    has_answer = False
    for name, _priority in sorted(bundled, key=lambda each: (-each[1], each[0])):
        scope = {"consumer": consumer, "route": route, "service": service}
        named = [plugin for plugin in plugins if plugin["name"] == name]
        chosen = most_specific(named, scope, groups.get(consumer or "", []))
        if chosen is None:
            continue
        filtered.append(chosen["id"])
        if has_answer or route is None:
            continue
        ran.append(chosen["id"])
        consumer = chosen["config"]["finds"] or consumer
        has_answer = chosen["config"]["answers"]
    return Course(ran, filtered)


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
