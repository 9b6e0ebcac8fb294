"""What a plugin does again and again, beside requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

Work = TypeVar("Work", bound=Callable[[Any], Awaitable[None] | None])
_SECONDS = "__every_seconds__"


def every(seconds: float) -> Callable[[Work], Work]:
    """Call this method of a plugin every so many seconds, from when a configuration first names the plugin.

    The first time is at once. A run that is still going is waited for: there are never two of them.
    """
    if not seconds > 0:
        raise ValueError("every takes a number of seconds above 0")

    def mark(method: Work) -> Work:
        setattr(method, _SECONDS, seconds)
        return method

    return mark


def tasks_of(plugin: object) -> Iterator[tuple[Callable[[], Awaitable[None] | None], float]]:
    """Each such method of a plugin, bound, and its seconds."""
    for name in dir(type(plugin)):
        seconds = getattr(getattr(type(plugin), name), _SECONDS, None)
        if seconds is not None:
            yield getattr(plugin, name), seconds
