"""Makes a plugin of a module that is written for Kong's Python PDK: class `Plugin` with phases as methods, `Schema`,
`version`, `priority`. The module is not changed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from twinplane.pdk.answer import Answer
from twinplane.pdk.context import Context
from twinplane.pdk.kong import client, node, request, response, service  # noqa: F401 - they enter their calls
from twinplane.pdk.kong.calls import Calling, Exit, Space
from twinplane.pdk.kong.logged import LoggedVisit
from twinplane.pdk.kong.schema import KongConfig, config_of
from twinplane.pdk.plugin import PHASES, Plugin

if TYPE_CHECKING:
    from twinplane.pdk.visit import Visit

_BODY_BYTES_MAX = 8 * 1024 * 1024
_NOT_HERE = ("certificate", "preread")


class ForeignPhase(ValueError):
    """A phase that this gateway asks no plugin in."""


def is_kong_plugin(found: object) -> bool:
    """Whether a class looks like one of Kong's Python PDK."""
    return inspect.isclass(found) and found.__name__ == "Plugin" and not issubclass(found, Plugin)


def adapted(name: str, module: ModuleType, written: type[Any], *, lua_style: bool = True) -> type[Plugin[Any]]:
    """The plugin `name` of a module. Raises ValueError where something of it cannot be had here.

    `lua_style`: calls give a value and an error, as for Kong's server of such plugins unless it is told otherwise.
    """
    foreign = [phase for phase in _NOT_HERE if hasattr(written, phase)]
    if foreign:
        raise ForeignPhase(f"the phase {foreign[0]} is not one that this gateway calls plugins in Python in")
    phases = [phase for phase in PHASES if callable(getattr(written, phase, None))]
    holds = "response" in phases
    words = (inspect.getdoc(written) or f"The plugin {name}.").strip().splitlines()[0]
    members: dict[str, Any] = {
        "__doc__": words,
        "__module__": module.__name__,
        "name": name,
        "version": str(getattr(module, "version", "0.1.0")),
        "priority": int(getattr(module, "priority", 0)),
        "config_class": config_of(name, getattr(module, "Schema", ())),
        "body_bytes_max": _BODY_BYTES_MAX if {"rewrite", "access"} & set(phases) else 0,
    }
    for phase in phases:
        members[phase] = _log(lua_style) if phase == "log" else _phase(getattr(written, phase), lua_style, holds=holds)

    def prepare(_self: Plugin[Any], config: KongConfig) -> None:
        # One for each configured plugin; its configuration is a dictionary without what is not set.
        config.begin(written)

    members["prepare"] = prepare
    return type(written.__name__, (Plugin,), members)


def _phase(method: Callable[..., Any], lua_style: bool, *, holds: bool) -> Callable[..., Any]:
    phase = method.__name__

    def kong(self: Plugin[Any], ctx: Context) -> Space:
        return Space(Calling(ctx.visit, phase, self.node, f"plugin.{self.name}", holds), "kong", lua_style=lua_style)

    def run(self: Plugin[Any], _view: object, ctx: Context, config: KongConfig) -> Answer | None:
        try:
            getattr(config.plugin, phase)(kong(self, ctx))
        except Exit as ending:
            return ending.answer
        return None

    async def run_async(self: Plugin[Any], _view: object, ctx: Context, config: KongConfig) -> Answer | None:
        try:
            await getattr(config.plugin, phase)(kong(self, ctx))
        except Exit as ending:
            return ending.answer
        return None

    return run_async if inspect.iscoroutinefunction(method) else run


def _log(lua_style: bool) -> Callable[..., Any]:
    def run(self: Plugin[Any], entry: Mapping[str, Any], config: KongConfig) -> Any:
        visit = cast("Visit", LoggedVisit(entry, self.name))
        calling = Calling(visit, "log", self.node, f"plugin.{self.name}")
        return config.plugin.log(Space(calling, "kong", lua_style=lua_style))

    return run
