"""From what the core calls to the methods of a plugin: one callable for each phase that the plugin defines."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from twinplane.pdk import Answer, Cache, Chunk, Context, Plugin, Request, Response, Visit, WholeResponse

Handler = Callable[..., object]
Spawn = Callable[[Visit, Callable[[], Any]], None]
TellLog = Callable[[str, BaseException], None]

LATER = True
"""What the core takes for: the verdict comes later."""
_VIEWS: Mapping[str, Callable[[Visit], Any]] = {
    "rewrite": Request,
    "access": Request,
    "response": WholeResponse,
    "header_filter": Response,
    "body_filter": Chunk,
}


def handlers(plugin: Plugin[Any], config: Any, cache: Cache, spawn: Spawn, tell_log: TellLog) -> dict[str, Handler]:
    """A callable for each phase, with the configuration bound in."""
    found: dict[str, Handler] = {}
    for phase in plugin.phases():
        method = getattr(plugin, phase)
        if phase == "log":
            found[phase] = _logging(plugin.name, method, config, tell_log)
        elif inspect.iscoroutinefunction(method):
            found[phase] = _awaiting(method, _VIEWS[phase], config, cache, spawn)
        else:
            found[phase] = _calling(method, _VIEWS[phase], config, cache)
    return found


def _calling(method: Callable[..., Any], view: Callable[[Visit], Any], config: Any, cache: Cache) -> Handler:
    def call(visit: Visit) -> object:
        answer = method(view(visit), Context(visit, cache), config)
        return None if answer is None else _crossing(answer)

    return call


def _awaiting(
    method: Callable[..., Awaitable[Any]], view: Callable[[Visit], Any], config: Any, cache: Cache, spawn: Spawn
) -> Handler:
    def call(visit: Visit) -> object:
        spawn(visit, lambda: _checked(method(view(visit), Context(visit, cache), config)))
        return LATER

    return call


def _logging(name: str, method: Callable[..., Any], config: Any, tell_log: TellLog) -> Handler:
    def call(entries: list[bytes]) -> object:
        for entry in entries:
            try:
                given = method(orjson.loads(entry), config)
                if inspect.iscoroutine(given):
                    asyncio.run(given)
            except Exception as error:
                tell_log(name, error)
        return None

    return call


async def _checked(given: Awaitable[Any]) -> Answer | None:
    answer = await given
    if answer is not None and not isinstance(answer, Answer):
        raise TypeError(f"a phase gives an Answer or None, not {type(answer).__name__}")
    return answer


def _crossing(answer: object) -> tuple[int, bytes | None, list[tuple[str, str]]]:
    if not isinstance(answer, Answer):
        raise TypeError(f"a phase gives an Answer or None, not {type(answer).__name__}")
    return answer.crossing()
