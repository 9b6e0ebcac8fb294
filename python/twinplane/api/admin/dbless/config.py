"""`/config`: the whole configuration of a node, read and replaced. What is answered with 201 is being served."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import yaml

from twinplane.api.admin.dbless.door import NodeDoor
from twinplane.api.admin.dbless.lua_text import lua_text
from twinplane.api.core.decode import UnreadableBody, UnsupportedType, decode, decode_json
from twinplane.api.core.dispatch import Handler
from twinplane.api.core.errors import kong_error
from twinplane.api.core.message import Answer, Call, Headers, Query, encode_json, json_answer, message
from twinplane.control import declarative
from twinplane.control.declarative.entities import DeclaredEntities
from twinplane.control.declarative.room import DeclaredRoom
from twinplane.control.errors import DeclarativeViolation
from twinplane.hybrid.client import Outcome
from twinplane.hybrid.wire import Fault, Issue

_YAML_TYPES: Final = ("application/yaml", "text/yaml")
_RETRY_AFTER_S: Final = 1
_WARNINGS_MAX: Final = 10
_WARNING_LETTERS_MAX: Final = 300
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Posted:
    """A document as it came. `text` is None where it came as fields, `arguments` those of query and body."""

    document: Mapping[str, Any] | None
    text: bytes | None
    arguments: Mapping[str, Any]
    is_checked: bool = False

    @property
    def flattens(self) -> bool:
        """Whether violations are wanted entity by entity."""
        return self.arguments.get("flatten_errors") in ("1", "true", 1, True)

    @property
    def digest(self) -> str | None:
        """What an unchanged text is known by; None where it is not to be compared."""
        text = self.text if self.is_checked else None
        return None if text is None else hashlib.sha256(text).hexdigest()

    @property
    def checks_hash(self) -> bool:
        """Whether an unchanged text shall change nothing."""
        return self.arguments.get("check_hash") in ("1", 1) and self.arguments.get("check_hash") is not True


class Configuration:
    """Handlers of `/config`."""

    def __init__(self, door: NodeDoor, room: DeclaredRoom, clock: Callable[[], float] = time.time) -> None:
        self._door = door
        self._room = room
        self._clock = clock
        self._turn = threading.Lock()
        self._digest: str | None = None

    def paths(self) -> Mapping[str, Mapping[str, Handler]]:
        """Every path with its methods."""
        return {"/config": {"GET": self.show, "POST": self.load}, "/config/issues": {"GET": self.issues}}

    def show(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """What is served, as a document that can be posted again."""
        document = self._room.entities.document(now=self._clock())
        text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)
        return json_answer(200, {"config": text})

    def issues(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """What of it is not served as asked."""
        return json_answer(200, {"data": [_told(issue) for issue in self._door.issues()]})

    def load(self, call: Call, _keys: tuple[str, ...]) -> Answer:
        """Serve another configuration: whole, or not at all."""
        posted = _read(call)
        if posted is None:
            return message(400, "expected a declarative configuration")
        if self._door.is_stopping:
            return message(503, "Kong currently exiting")
        if not self._turn.acquire(blocking=False):
            busy = message(429, "Currently loading previous configuration")
            return Answer(429, busy.body, (*busy.headers, (b"retry-after", b"%d" % _RETRY_AFTER_S)))
        try:
            return self._load(posted)
        finally:
            self._turn.release()

    def replacing(self, entities: DeclaredEntities, serve: Callable[[], Outcome]) -> Outcome:
        """Show another configuration, which did not come this way, where `serve` has it served."""
        with self._turn:
            outcome = serve()
            if outcome.fault is None:
                self._room.replace(entities)
                self._digest = None
            return outcome

    def _load(self, posted: _Posted) -> Answer:
        if posted.checks_hash and posted.digest is not None and posted.digest == self._digest:
            return Answer(304)
        flavor = self._room.entities.flavor
        now = self._clock()
        try:
            document = posted.document if posted.document is not None else declarative.parse(posted.text or b"")
            declared = declarative.load(document, now=now, flavor=flavor)
        except DeclarativeViolation as violation:
            return _invalid(violation.fields, violation.flattened, violation.rest, flattens=posted.flattens)
        entities = DeclaredEntities(declared.rows, flavor)
        outcome, issues = self._door.serve(declared.json(), orjson.dumps(entities.document(now=now)))
        if outcome.fault is not None:
            return _refused(outcome.fault, flattens=posted.flattens)
        self._room.replace(entities)
        # Nothing at all is served anew each time (vectors: config/check-hash-config-field).
        self._digest = None if entities.is_empty else posted.digest
        return Answer(201, self._shown(entities, now), (_JSON, *_warnings(issues)))

    def _shown(self, entities: DeclaredEntities, now: float) -> bytes:
        shown: dict[str, dict[str, Any]] = {}
        for name in entities.types():
            kind = entities.type(name)
            rows = {row["id"]: kind.answer(row) for row in entities.all(name, now=now)}
            if rows:
                shown[name] = rows
        return encode_json(shown)


_JSON: Final = (b"content-type", b"application/json; charset=utf-8")


def _read(call: Call) -> _Posted | None:
    """The document of a request; None where there is none. Raises UnsupportedType, UnreadableBody, SeveralTypes."""
    request = call.request
    arguments = _arguments(request.query)
    types = request.content_types
    if len(types) == 1 and types[0].partition(";")[0].strip() in _YAML_TYPES:
        return _Posted(None, request.body, arguments) if request.body else None
    if not types:
        if request.body:
            raise UnsupportedType
        return None
    fields = decode_json(request.body) if types[0].startswith("application/json") else decode(request).fields
    config = fields.get("config")
    if "config" in fields and "_format_version" not in fields:
        if not isinstance(config, str):
            raise UnreadableBody
        given = {name: value for name, value in fields.items() if name in ("check_hash", "flatten_errors")}
        return _Posted(None, config.encode(), {**given, **arguments}, is_checked=True)
    if types[0].startswith("application/json"):
        return _Posted(fields, None, arguments)
    # A form without the field: its text is no document, and is told so.
    return _Posted(None, request.body, arguments)


def _arguments(query: Query) -> Mapping[str, Any]:
    return {name: True if value is None else value for name, value in query.items()}


def _invalid(
    fields: Mapping[str, Any], flattened: Sequence[Mapping[str, Any]], rest: Mapping[str, Any], *, flattens: bool
) -> Answer:
    """Everything that is wrong with a document, nested as it is or entity by entity."""
    is_readable = "error" not in fields
    shown = rest if flattens and is_readable else fields
    more: dict[str, Any] = {"fields": shown}
    if flattens and is_readable:
        # An empty list is an empty table there, and is written as one (vectors: config/load-ref-dangling-name).
        more["flattened_errors"] = list(flattened) or {}
    return kong_error(14, f"declarative config is invalid: {lua_text(shown)}", more)


def _refused(fault: Fault, *, flattens: bool) -> Answer:
    """What the core found wrong, which no schema can see."""
    fields: dict[str, Any] = {}
    for entry in fault.flattened_errors:
        place = fields.setdefault(f"{entry['entity_type']}s" if entry["entity_type"] else "@entity", {})
        told = place.setdefault(entry.get("entity_id", "@entity"), [])
        told += [
            f"{error['field']}: {error['message']}" if "field" in error else error["message"]
            for error in entry["errors"]
        ]
    return _invalid(fields, fault.flattened_errors, {}, flattens=flattens)


def _told(issue: Issue) -> dict[str, Any]:
    told = {"code": issue.code, "message": issue.message, "plugin": issue.plugin, "plugin_id": issue.plugin_id}
    return {name: value for name, value in told.items() if value is not None}


def _warnings(issues: Sequence[Issue]) -> Headers:
    """What is served otherwise than asked, where whoever posted it looks first."""
    if not issues:
        return ()
    texts = [f"{issue.plugin}: {issue.message}" if issue.plugin else issue.message for issue in issues[:_WARNINGS_MAX]]
    listed = tuple((b"warning", f'199 twinplane "{_plain(text)}"'.encode("ascii", "replace")) for text in texts)
    return (*listed, (b"x-twinplane-issues", b"%d" % len(issues)))


def _plain(text: str) -> str:
    return "".join(letter if " " <= letter <= "~" and letter not in '"\\' else "'" for letter in text)[
        :_WARNING_LETTERS_MAX
    ]
