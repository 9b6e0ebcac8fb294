"""The endpoints of one entity type: a collection, its items, what stands under a parent, what a reference leads to.

Decoding, calling `control`, encoding. No rule of an entity lives here.
"""

from __future__ import annotations

import re
import secrets
import string
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from twinplane.api.core.decode import Fields, decode, infer_record
from twinplane.api.core.dispatch import Handler
from twinplane.api.core.errors import absent, not_found_by_key
from twinplane.api.core.message import (
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    Answer,
    Call,
    empty,
    json_answer,
    message,
)
from twinplane.api.core.paging import page_body, read_page
from twinplane.api.core.schemas import form_specs, is_polymorphic
from twinplane.api.core.source import Source
from twinplane.control import Operation, Parent
from twinplane.control.errors import BatchRefused, NotFound
from twinplane.control.scope import Row
from twinplane.registry import entity_types
from twinplane.schema import SchemaViolation

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_RANDOM: Final = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Manner:
    """In what a type's endpoints depart from all others; each departure is a recorded answer of a real node."""

    put_changes_only: bool = False
    plain_when_absent: bool = False
    key_when_absent: bool = False
    filters: tuple[str, ...] = ()


MANNERS: Final[Mapping[str, Manner]] = {
    "plugins": Manner(plain_when_absent=True),
    "certificates": Manner(key_when_absent=True),
    "targets": Manner(put_changes_only=True),
    "consumers": Manner(filters=("custom_id",)),
}


@dataclass(frozen=True, slots=True)
class Rules:
    """In what one face departs from another."""

    accepts_empty_offset: bool = False
    put_creates_targets: bool = False
    """Whether PUT of a target creates or replaces it, as of any entity; a real node only changes it."""
    always_names_absent: bool = False
    """Whether changing something absent is answered with its key for every type, as without a database."""
    shows_beyond: bool = False
    """Whether fields that Kong 3.9 of the open edition does not know are taken and shown."""


class Entities:
    """Handlers for one entity type, flat or under one parent type."""

    def __init__(self, control: Source, type_name: str, *, rules: Rules, parent: str | None = None) -> None:
        self._control = control
        self._type = type_name
        self._kind = entity_types()[type_name]
        self._rules = rules
        self._parent = parent
        self._manner = MANNERS.get(type_name, Manner())

    def collection(self) -> Mapping[str, Handler]:
        """GET lists, POST creates."""
        return {"GET": self.list, "POST": self.create}

    def item(self) -> Mapping[str, Handler]:
        """GET, PUT, PATCH, DELETE of one entity."""
        return {"GET": self.get, "PUT": self.put, "PATCH": self.patch, "DELETE": self.delete}

    def _place(self, keys: tuple[str, ...]) -> Parent | None:
        return Parent(self._parent, keys[0]) if self._parent is not None else None

    def list(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """One page."""
        query = call.request.query
        where: dict[str, str] = {}
        for name in self._manner.filters if self._parent is None else ():
            if name in query:
                value = query.first(name)
                if not value:
                    return message(400, f"{name} must be an unempty string")
                where[name] = value
        nested = self._parent is not None
        asked = read_page(query, accepts_empty_offset=self._rules.accepts_empty_offset)
        page = self._control.changes.page(
            call.site.scope,
            self._type,
            size=asked.size,
            offset=asked.offset,
            tags=asked.tags,
            parent=self._place(keys),
            where=where or None,
        )
        repeated = {} if nested else {"tags": asked.tags, "size": query.first("size")}
        path = call.site.base + call.path.rstrip("/")
        return json_answer(
            200, page_body([self.shown(row) for row in page.rows], path=path, offset=page.offset, repeated=repeated)
        )

    def create(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """POST: 201."""
        fields = self.fields(call, keys)
        parent = self._place(keys)
        row = self._control.changes.create(call.site.scope, call.site.actor, self._type, fields, parent=parent)
        return json_answer(201, self.shown(row))

    def get(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """GET of one entity."""
        try:
            row = self._control.changes.get(call.site.scope, self._type, keys[-1], parent=self._place(keys))
        except NotFound as error:
            return self._absent(error, keys, changing=self._manner.key_when_absent)
        return json_answer(200, self.shown(row))

    def put(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """PUT creates or replaces: 200."""
        if self._manner.put_changes_only and not self._rules.put_creates_targets:
            return self.patch(call, keys)
        fields = self.fields(call, keys)
        parent = self._place(keys)
        row = self._control.changes.upsert(
            call.site.scope, call.site.actor, self._type, keys[-1], fields, parent=parent
        )
        return json_answer(200, self.shown(row))

    def patch(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """PATCH merges: 200."""
        fields = self.fields(call, keys)
        parent = self._place(keys)
        try:
            row = self._control.changes.update(
                call.site.scope, call.site.actor, self._type, keys[-1], fields, parent=parent
            )
        except NotFound as error:
            return self._absent(error, keys, changing=True)
        return json_answer(200, self.shown(row))

    def delete(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """DELETE: 204, also for what is not there, except under a parent."""
        parent = self._place(keys)
        try:
            self._control.changes.delete(call.site.scope, call.site.actor, self._type, keys[-1], parent=parent)
        except NotFound as error:
            return self._absent(error, keys, changing=False)
        return empty()

    def fields(self, call: Call, keys: tuple[str, ...]) -> Fields:
        """The body's fields; those of a form are read as the types of the schema."""
        body = decode(call.request)
        fields = body.fields
        if not body.typed:
            variant = self._variant(call, keys, fields) if is_polymorphic(self._type) else None
            fields = infer_record(fields, form_specs(self._type, variant))
        beyond = () if self._rules.shows_beyond else self._kind.beyond & fields.keys()
        if beyond:
            self._refuse_beyond(fields, beyond)
        return fields

    def shown(self, row: Row) -> Row:
        """A row as this face shows it."""
        return self._kind.answer(row, beyond=self._rules.shows_beyond)

    def _refuse_beyond(self, fields: Fields, beyond: Collection[str]) -> NoReturn:
        """Refuse fields that this face does not know, with whatever else is wrong."""
        errors: dict[str, Any] = {}
        try:
            self._kind.prepare_insert({name: fields[name] for name in fields.keys() - beyond}, now=time.time())
        except SchemaViolation as violation:
            errors = violation.errors
        raise SchemaViolation({**errors, **dict.fromkeys(beyond, "unknown field")})

    def _variant(self, call: Call, keys: tuple[str, ...], fields: Fields) -> str | None:
        """Which plugin or vault a form is about: the one it names, or the one that stands at its place."""
        named = fields.get("name")
        if named is None and call.request.method in {"PUT", "PATCH"}:
            try:
                row = self._control.changes.get(call.site.scope, self._type, keys[-1], parent=self._place(keys))
            except NotFound:
                return None
            named = row["name"]
        return named if isinstance(named, str) else None

    def _absent(self, error: NotFound, keys: tuple[str, ...], *, changing: bool) -> Answer:
        if self._type == "acls" and self._parent is not None and not is_uuid(keys[-1]):
            # Kong's endpoint for groups by name ends through another door (vectors: acl/get-absent-name).
            return message(404, "Not found", {"request_id": _request_id()})
        if self._type == "certificates" and error.kind == "snis":
            return absent(error)
        if error.nested or error.parent:
            return absent(error)
        if not changing or (self._manner.plain_when_absent and not self._rules.always_names_absent):
            return NOT_FOUND
        return not_found_by_key(error.key)


class Link:
    """What a reference of an entity leads to: `/routes/{r}/service`."""

    def __init__(self, control: Source, type_name: str, field: str, target: str, *, rules: Rules) -> None:
        self._control = control
        self._type = type_name
        self._field = field
        self._target = target
        self._targets = Entities(control, target, rules=rules)

    def handlers(self) -> Mapping[str, Handler]:
        """GET, PUT and PATCH reach the target; DELETE through a reference is refused."""
        return {"GET": self.get, "PUT": self.put, "PATCH": self.patch, "DELETE": self.refuse}

    def refuse(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """A reference is no place to delete from; a child that is not there is told first."""
        self._followed(call, keys)
        return METHOD_NOT_ALLOWED

    def get(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """The entity that is referred to."""
        key = self._followed(call, keys)
        if key is None:
            return NOT_FOUND
        row = self._control.changes.get(call.site.scope, self._target, key)
        # Names of a certificate are not looked up on this way (vectors: services/client-certificate-nested).
        shown = self._targets.shown(row)
        return json_answer(200, {**shown, "snis": None} if self._target == "certificates" else shown)

    def patch(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Change the entity that is referred to."""
        key = self._followed(call, keys)
        return NOT_FOUND if key is None else self._targets.patch(call, (key,))

    def put(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Replace the entity that is referred to; where none is, create one and refer to it."""
        key = self._followed(call, keys)
        if key is not None:
            return self._targets.put(call, (key,))
        new = str(uuid.uuid4())
        fields = {**self._targets.fields(call, ()), "id": new}
        create = Operation("create", self._target, body=fields)
        refer = Operation("update", self._type, key=keys[0], body={self._field: {"id": new}})
        rows = self._apply(call, [create, refer])
        return json_answer(200, self._targets.shown(rows[0] or {}))

    def _apply(self, call: Call, operations: Sequence[Operation]) -> list[Row | None]:
        try:
            return self._control.changes.apply(call.site.scope, call.site.actor, operations)
        except BatchRefused as error:
            raise error.cause from error

    def _followed(self, call: Call, keys: tuple[str, ...]) -> str | None:
        row = self._control.changes.get(call.site.scope, self._type, keys[0])
        reference = row.get(self._field)
        return reference["id"] if reference else None


def is_uuid(text: str) -> bool:
    """Whether a key in a path is an id."""
    return _UUID.fullmatch(text) is not None


def _request_id() -> str:
    return "".join(secrets.choice(_RANDOM) for _ in range(32))
