"""The calls of the object `kong` that plugins written for Kong are handed, by name; filled by the modules beside this.

A name that is not in it raises, and says which one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinplane.pdk.answer import Answer
    from twinplane.pdk.surroundings import Surroundings
    from twinplane.pdk.visit import Visit

BEFORE = ("rewrite", "access")
AFTER = ("response", "header_filter", "body_filter", "log")
ANY = (*BEFORE, *AFTER)


class UnsupportedCall(AttributeError):
    """A plugin calls what is not here; its request fails."""


class WrongPhase(RuntimeError):
    """A call in a phase in which it means nothing."""


class Exit(BaseException):
    """`kong.response.exit` ends the phase here; no handler of `Exception` keeps it going."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Calling:
    """One phase of one request at one plugin."""

    visit: Visit
    """In the phase `log` it is a `LoggedVisit`, and what that does not have is not called then."""
    phase: str
    around: Surroundings
    logger: str
    holds_responses: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A call by its name: what it does, and when it may be made."""

    act: Callable[..., Any]
    phases: tuple[str, ...]


CALLS: dict[str, Call] = {}

Act = Callable[..., Any]


def call(name: str, phases: Iterable[str] = ANY) -> Callable[[Act], Act]:
    """Let plugins make this call."""

    def enter(act: Act) -> Act:
        CALLS[name] = Call(act, tuple(phases))
        return act

    return enter


class Space:
    """`kong`, or a part of it such as `kong.request`."""

    __slots__ = ("_calling", "_lua_style", "_name")

    def __init__(self, calling: Calling, name: str, *, lua_style: bool) -> None:
        self._calling = calling
        self._name = name
        self._lua_style = lua_style

    def __getattr__(self, word: str) -> Any:
        name = f"{self._name}.{word}"
        found = CALLS.get(name)
        if found is not None:
            return self._bound(name, found)
        if any(each.startswith(f"{name}.") for each in CALLS):
            return Space(self._calling, name, lua_style=self._lua_style)
        raise UnsupportedCall(f"{name} is not supported by this gateway")

    def __repr__(self) -> str:
        return f"<{self._name}>"

    def _bound(self, name: str, found: Call) -> Callable[..., Any]:
        calling, lua_style = self._calling, self._lua_style

        def make(*words: Any, **named: Any) -> Any:
            if calling.phase not in found.phases:
                raise WrongPhase(
                    f"{name} cannot be called in {calling.phase} phase (only in: {', '.join(found.phases)})"
                )
            if not lua_style:
                return found.act(calling, *words, **named)
            try:
                return found.act(calling, *words, **named), None
            except (ValueError, LookupError, OSError) as error:
                return None, str(error)

        return make
