"""From what the core calls to the methods of a plugin: one callable for each phase that the plugin defines."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import orjson

from twinplane.pdk import Answer, Chunk, Context, Plugin, Request, Response, Surroundings, Visit, WholeResponse

Handler = Callable[..., object]
Spawn = Callable[[Visit, Callable[[], Any]], None]
TellLog = Callable[[str, BaseException], None]
AwaitLog = Callable[[Coroutine[Any, Any, Any]], None]
"""Waits until a coroutine has ended."""

LATER = True
"""What the core takes for: the verdict comes later."""
_VIEWS: Mapping[str, Callable[[Visit], Any]] = {
    "rewrite": Request,
    "access": Request,
    "response": WholeResponse,
    "header_filter": Response,
    "body_filter": Chunk,
}


def handlers(
    plugin: Plugin[Any], config: Any, *, spawn: Spawn, tell_log: TellLog, await_log: AwaitLog
) -> dict[str, Handler]:
    """A callable for each phase, with the configuration bound in."""
    around = plugin.node
    found: dict[str, Handler] = {}
    for phase in plugin.phases():
        method = getattr(plugin, phase)
        if phase == "log":
            found[phase] = _logging(plugin.name, method, config, tell_log, await_log)
        elif inspect.iscoroutinefunction(method):
            found[phase] = _awaiting(method, _VIEWS[phase], config, around, spawn)
        else:
            found[phase] = _calling(method, _VIEWS[phase], config, around)
    return found


def _calling(method: Callable[..., Any], view: Callable[[Visit], Any], config: Any, around: Surroundings) -> Handler:
    def call(visit: Visit) -> object:
        seen = view(visit)
        answer = method(seen, Context(visit, around, seen if view is Request else None), config)
        return None if answer is None else _crossing(answer)

    return call


def _awaiting(
    method: Callable[..., Awaitable[Any]], view: Callable[[Visit], Any], config: Any, around: Surroundings, spawn: Spawn
) -> Handler:
    def call(visit: Visit) -> object:
        spawn(visit, lambda: _checked(method(view(visit), Context(visit, around), config)))
        return LATER

    return call


def _logging(name: str, method: Callable[..., Any], config: Any, tell_log: TellLog, await_log: AwaitLog) -> Handler:
    def call(entries: list[bytes]) -> object:
        for entry in entries:
            try:
                given = method(orjson.loads(entry), config)
                if inspect.iscoroutine(given):
                    await_log(given)
            except (Exception, SystemExit) as error:
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
