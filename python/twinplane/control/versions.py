"""Announces that a control plane has a new revision, after commit and nothing else. Never carries configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock

_log = logging.getLogger(__name__)

Subscriber = Callable[[str, int], None]


class Versions:
    """Tells subscribers (control plane id, revision), in the writer's thread: they must not block."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._subscribers: tuple[Subscriber, ...] = ()
        self._newest: dict[str, int] = {}

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Have `subscriber` called for each new revision; the answer ends it."""
        with self._lock:
            self._subscribers = (*self._subscribers, subscriber)

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = tuple(one for one in self._subscribers if one is not subscriber)

        return unsubscribe

    def announce(self, control_plane_id: str, revision: int) -> None:
        """Tell all subscribers, unless a newer revision of this control plane was told already."""
        with self._lock:
            if self._newest.get(control_plane_id, 0) >= revision:
                return
            self._newest[control_plane_id] = revision
            subscribers = self._subscribers
        for subscriber in subscribers:
            try:
                subscriber(control_plane_id, revision)
            except Exception:
                # The write is committed: a failing listener must not turn it into an error of the writer.
                _log.exception("version_subscriber_failed")
