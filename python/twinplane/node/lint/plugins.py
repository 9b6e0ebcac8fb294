"""Plugins that never act."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from twinplane.node.lint.findings import Finding
from twinplane.node.lint.routes import called
from twinplane.registry import plugin_types

Row = Mapping[str, Any]


def lint_plugins(table: Mapping[str, Sequence[Row]]) -> Iterator[Finding]:
    """Everything about the plugins of a table."""
    routes = {row["id"]: row for row in table.get("routes", ())}
    services = {row["id"]: row for row in table.get("services", ())}
    enabled = [row for row in table.get("plugins", ()) if row["enabled"]]
    knows_consumers = any(_finds_consumers(row["name"]) for row in enabled)
    for row in table.get("plugins", ()):
        name = f"{row['name']} {row.get('instance_name') or ''}".strip()
        if not row["enabled"]:
            yield Finding("plugin-disabled", "plugins", name, "it is switched off")
            continue
        reached = _reached(row, routes, services)
        if not reached:
            yield Finding("plugin-scope", "plugins", name, _scope(row, routes, services))
        elif row["protocols"] and not any(set(row["protocols"]) & set(route["protocols"]) for route in reached):
            of = ", ".join(sorted({protocol for route in reached for protocol in route["protocols"]}))
            detail = f"acts on {', '.join(row['protocols'])} alone, its routes are for {of}"
            yield Finding("plugin-protocols", "plugins", name, detail)
        if row.get("consumer") and not knows_consumers:
            yield Finding("plugin-consumer", "plugins", name, "no plugin of this configuration finds consumers")


def _finds_consumers(name: str) -> bool:
    """Whether a plugin tells who is asking: such have someone to fall back on."""
    kind = plugin_types().get(name)
    if kind is not None and not kind.folder:
        # What somebody has written in Python may tell it in its own way.
        return True
    config = None if kind is None else kind.shape.fields.get("config")
    return config is not None and config.record is not None and "anonymous" in config.record.fields


def _reached(row: Row, routes: Mapping[str, Row], services: Mapping[str, Row]) -> list[Row]:
    """The routes that are served and that a plugin is about."""
    return [
        route
        for route in routes.values()
        if row["route"] in (None, route["id"])
        and row["service"] in (None, route["service"])
        and (route["service"] is None or services[route["service"]]["enabled"])
    ]


def _scope(row: Row, routes: Mapping[str, Row], services: Mapping[str, Row]) -> str:
    if row["route"] and row["service"] and routes[row["route"]]["service"] != row["service"]:
        return f"route '{called(routes[row['route']])}' is not one of service '{called(services[row['service']])}'"
    return "no route that is served has this plugin"
