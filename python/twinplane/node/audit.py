"""What a node tells of itself for the audit trail: numbered, waiting in a bounded queue until they are sent.

To note something costs a moment and never waits. Values that are secret are never handed in here.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from twinplane.audit.cef import CefEvent
from twinplane.audit.line import EVENT_ELEMENT, NOTICE, ORIGIN_ELEMENT, WARNING, Draft
from twinplane.audit.signature import auth_element, sign
from twinplane.hybrid.audit_key import AuditKey
from twinplane.hybrid.wire import Issue

REPEATS_S = 60.0
REPEATS_MAX = 256
REASON_LENGTH_MAX = 300
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_CEF_SEVERITY = {"success": 3, "failure": 6}


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that happened. `number` counts the events of one start of the node."""

    number: int
    kind: str
    at: float
    result: str
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AuditOrigin:
    """Who writes lines, and in which form."""

    node_id: str
    hostname: str
    version: str
    process: str
    format: str
    boot: str = ""

    def line(self, event: AuditEvent, key: AuditKey | None) -> bytes:
        """The line of an event, signed where there is a key."""
        elements: list[tuple[str, Mapping[str, str]]] = [
            (ORIGIN_ELEMENT, {"boot": self.boot, "seq": str(event.number), "node": self.node_id})
        ]
        said = {"result": event.result, **event.said}
        message = ""
        if self.format == "cef":
            extension = {"rt": str(int(event.at * 1000)), **said}
            severity = _CEF_SEVERITY.get(event.result, 3)
            message = CefEvent("node", self.version, event.kind, event.kind, severity, extension).encode()
        else:
            elements.append((EVENT_ELEMENT, said))
        if key is not None:
            elements.append(auth_element(key.id))
        severity = NOTICE if event.result == "success" else WARNING
        draft = Draft(severity, event.at, self.hostname, "twinplane", self.process, event.kind, elements, message)
        line = draft.encode()
        return line if key is None else sign(line, key.id, key.secret)


class AuditLog:
    """Events that wait to be sent. Safe for several threads."""

    def __init__(self, *, events_max: int, clock: Callable[[], float] = time.time) -> None:
        """With `events_max` 0 nothing is noted."""
        self.boot = secrets.token_hex(8)
        self.noted_total = 0
        self.dropped_total = 0
        self._clock = clock
        self._waiting: deque[AuditEvent] = deque()
        self._events_max = events_max
        self._guard = threading.Lock()
        self._on_noted: Callable[[], None] = lambda: None
        self._repeats: dict[tuple[str, ...], _Repeat] = {}
        self._conditions: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def on_noted(self, call: Callable[[], None]) -> None:
        """Call `call`, from any thread, when something was noted."""
        self._on_noted = call

    def note(self, kind: str, result: str = "success", **said: object) -> None:
        """Something happened. Where the queue is full, the oldest gives way: its number tells that it is missing."""
        if self._events_max == 0:
            return
        with self._guard:
            self.noted_total += 1
            told = {name: str(value) for name, value in said.items() if value is not None}
            self._waiting.append(AuditEvent(self.noted_total, kind, self._clock(), result, told))
            if len(self._waiting) > self._events_max:
                self._waiting.popleft()
                self.dropped_total += 1
        self._on_noted()

    def access(self, api: str, *, method: str, path: str, status: int, peer: str) -> None:
        """A request of an API was answered. Reads that are repeated are told once, and counted for a minute."""
        if self._events_max == 0:
            return
        said = {"api": api, "method": method, "path": path, "status": str(status), "peer": peer}
        result = "success" if status < 400 else "failure"
        if method in {"GET", "HEAD"} and result == "success":
            name, now = tuple(said.values()), self._clock()
            known = self._repeats.get(name)
            if known is not None and 0 <= now - known.since < REPEATS_S:
                known.count += 1
                return
            self.tell_repeats(all_of_them=len(self._repeats) >= REPEATS_MAX)
            self._repeats[name] = _Repeat(now, said)
        self.note("access", result, **said)

    def tell_repeats(self, *, all_of_them: bool = False) -> None:
        """Tell how often reads were repeated whose minute is over."""
        now = self._clock()
        for name, one in list(self._repeats.items()):
            if all_of_them or not 0 <= now - one.since < REPEATS_S:
                self._repeats.pop(name, None)
                if one.count:
                    self.note("access", "success", **one.said, repeated=one.count)

    def conditions_changed(self, issues: tuple[Issue, ...]) -> None:
        """What is not as it should be has changed: the cache, a certificate, a declared configuration."""
        present = {issue.code: issue.message for issue in issues}
        with self._guard:
            before, self._conditions = self._conditions, present
        for code, text in present.items():
            if before.get(code) != text:
                self.note("condition", "failure", code=code, state="present", reason=shown_reason(text))
        for code in before.keys() - present.keys():
            self.note("condition", "success", code=code, state="over")

    def first(self) -> AuditEvent | None:
        """The event that has waited longest; it stays until `sent`."""
        with self._guard:
            return self._waiting[0] if self._waiting else None

    def sent(self, event: AuditEvent) -> None:
        """An event is on its way."""
        with self._guard:
            if self._waiting and self._waiting[0] is event:
                self._waiting.popleft()


@dataclass(slots=True)
class _Repeat:
    since: float
    said: Mapping[str, str]
    count: int = 0


def shown_reason(text: str) -> str:
    """A reason without the values that it quotes: one of them may be secret."""
    return _QUOTED.sub("'...'", text)[:REASON_LENGTH_MAX]
