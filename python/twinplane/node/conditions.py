"""What is not as it should be while a node goes on serving: one list for the status port and the control plane."""

from __future__ import annotations

import threading
from collections.abc import Callable

from twinplane.hybrid.node_conditions import ConditionCode
from twinplane.hybrid.wire import Issue


class Conditions:
    """The present conditions, by code. Safe for several threads."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._guard = threading.Lock()
        self._watchers: list[Callable[[], None]] = []

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed`, from any thread, whenever a condition came, went or reads otherwise."""
        self._watchers.append(changed)

    def has(self, code: ConditionCode) -> bool:
        """Whether a condition is there."""
        return code in self._texts

    def note(self, code: ConditionCode, text: str) -> None:
        """A condition is there; `text` is for people."""
        with self._guard:
            if self._texts.get(code) == text:
                return
            self._texts = {**self._texts, code: text}
        self._tell()

    def clear(self, code: ConditionCode) -> None:
        """A condition is gone."""
        with self._guard:
            if code not in self._texts:
                return
            self._texts = {name: text for name, text in self._texts.items() if name != code}
        self._tell()

    def issues(self) -> tuple[Issue, ...]:
        """All of them, in the form in which the control plane is told."""
        return tuple(Issue(code, text) for code, text in sorted(self._texts.items()))

    def _tell(self) -> None:
        for changed in self._watchers:
            changed()
