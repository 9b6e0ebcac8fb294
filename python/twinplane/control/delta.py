"""What changed of a payload between two revisions: exactly the rows in which two whole exports would differ.

The change log tells which rows may differ and what they were; whether a row is sent, then and now, follows from it and
from all that it stands on. So what is switched off leaves with all that stands on it, and comes back with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from twinplane.control.records import RowChange
from twinplane.control.references import workspace_of
from twinplane.registry import entity_type, entity_types
from twinplane.store.sql import EntityKey, Realm, Transaction

BYTES_MAX = 64 * 1024 * 1024
"""Rows of both revisions together, as they are held while they are compared."""


@dataclass(frozen=True, slots=True)
class Span:
    """From one revision to another."""

    base: int
    target: int


class TooMuch(Exception):
    """The span holds more than may be compared: the whole is sent instead."""


def compare(tx: Transaction, realm: Realm, span: Span, *, sent: Collection[str], changes_max: int) -> list[RowChange]:
    """The rows that differ. `sent` are the collections that are sent at all. Raises TooMuch."""
    log = _Log(tx, realm, span, changes_max)
    then, now = _View(log.at_base, log, sent), _View(log.at_target, log, sent)
    found: list[RowChange] = []
    waiting, seen = list(log.at_base), set(log.at_base)
    while waiting:
        key = waiting.pop()
        was_sent, is_sent = then.is_sent(key), now.is_sent(key)
        if is_sent and (not was_sent or then.body(key) != now.body(key)):
            found.append(RowChange(key.type, key.id, (now.body(key) or "").encode()))
        elif was_sent and not is_sent:
            found.append(RowChange(key.type, key.id, None))
        if was_sent != is_sent:
            # What names it did not change, but comes or goes with it. What did change is here already.
            for referrer in tx.entities.referrers(realm, key):
                if referrer.key not in seen:
                    seen.add(referrer.key)
                    waiting.append(referrer.key)
            if len(seen) > changes_max:
                raise TooMuch
    return sorted(found, key=lambda one: (one.collection, one.id))


class _Log:
    """What the change log tells of a span: bodies at its two ends, of all that has changed since."""

    def __init__(self, tx: Transaction, realm: Realm, span: Span, changes_max: int) -> None:
        self._tx = tx
        self._realm = realm
        self._bytes = 0
        self._current: dict[EntityKey, str | None] = {}
        self.at_base: dict[EntityKey, str | None] = {}
        self.at_target: dict[EntityKey, str | None] = {}
        for count, (revision, key, before) in enumerate(tx.changes.since(realm, span.base), 1):
            if count > changes_max:
                raise TooMuch
            if key not in self.at_base:
                self.at_base[key] = self._counted(before)
            if revision > span.target and key not in self.at_target:
                self.at_target[key] = before

    def current(self, key: EntityKey) -> str | None:
        """The body as it is now."""
        if key not in self._current:
            row = self._tx.entities.get(self._realm, key)
            self._current[key] = self._counted(None if row is None else row.body)
        return self._current[key]

    def _counted(self, body: str | None) -> str | None:
        self._bytes += len(body or "")
        if self._bytes > BYTES_MAX:
            raise TooMuch
        return body


class _View:
    """A control plane at one revision."""

    def __init__(self, changed: Mapping[EntityKey, str | None], log: _Log, sent: Collection[str]) -> None:
        self._changed = changed
        self._log = log
        self._sent = sent
        self._verdicts: dict[EntityKey, bool] = {}

    def body(self, key: EntityKey) -> str | None:
        """The row, None where there is none."""
        return self._changed[key] if key in self._changed else self._log.current(key)

    def is_sent(self, key: EntityKey) -> bool:
        """Whether an export has the row: it is there, switched on, and so is all that it names."""
        verdict = self._verdicts.get(key)
        if verdict is None:
            self._verdicts[key] = False
            verdict = self._verdicts[key] = key.type in self._sent and self._stands(key)
        return verdict

    def _stands(self, key: EntityKey) -> bool:
        body = self.body(key)
        if body is None or key.type not in entity_types():
            return False
        row: dict[str, Any] = orjson.loads(body)
        if row.get("enabled") is False:
            return False
        for field, foreign in entity_type(key.type).foreign.items():
            named = row.get(field)
            if named is not None:
                target = entity_type(foreign.target)
                if not self.is_sent(EntityKey(workspace_of(target, key.workspace), target.name, named)):
                    return False
        return True
