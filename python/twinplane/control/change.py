"""Entities: made, replaced, merged, deleted and read. The only writer of them.

Each call is one transaction: the entity, its unique keys and references, what cascades, and the rows of the change
log; a revision is announced after it is on disk. A call that is refused leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from twinplane.control import certificate_names
from twinplane.control.errors import BatchRefused, ControlError, InvalidKey, LimitExceeded, NotFound
from twinplane.control.lookup import Lookup
from twinplane.control.operation import Operation
from twinplane.control.paging import check_size, decode_offset, encode_offset, parse_tags
from twinplane.control.scope import Actor, Page, Parent, Row, Scope
from twinplane.control.settings import ControlSettings
from twinplane.control.stored_form import to_row
from twinplane.control.uniqueness import single_key
from twinplane.control.versions import Versions
from twinplane.control.writer import Writer
from twinplane.registry import EntityType
from twinplane.schema import SchemaViolation
from twinplane.store.errors import StoreConflict
from twinplane.store.sql import SHARED_BY_ALL, Database, EntityRow, Transaction

T = TypeVar("T")

_ATTEMPTS = 3


class Changes:
    """Entities of every control plane."""

    def __init__(
        self, database: Database, settings: ControlSettings, versions: Versions, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._settings = settings
        self._versions = versions
        self._clock = clock

    def create(
        self, scope: Scope, actor: Actor, type_name: str, body: Mapping[str, Any], *, parent: Parent | None = None
    ) -> Row:
        """Create an entity (POST). Raises SchemaViolation, UniqueViolation, PrimaryKeyViolation, ForeignKey…"""
        return self._write(scope, actor, lambda writer: writer.create(type_name, body, parent))

    def upsert(
        self,
        scope: Scope,
        actor: Actor,
        type_name: str,
        key: str,
        body: Mapping[str, Any],
        *,
        parent: Parent | None = None,
    ) -> Row:
        """Create or replace the entity at `key` (PUT); an id in `key` is kept."""
        return self._write(scope, actor, lambda writer: writer.upsert(type_name, key, body, parent))

    def update(
        self,
        scope: Scope,
        actor: Actor,
        type_name: str,
        key: str,
        patch: Mapping[str, Any],
        *,
        parent: Parent | None = None,
    ) -> Row:
        """Merge `patch` into the entity at `key` (PATCH). Raises NotFound."""
        return self._write(scope, actor, lambda writer: writer.update(type_name, key, patch, parent))

    def delete(self, scope: Scope, actor: Actor, type_name: str, key: str, *, parent: Parent | None = None) -> bool:
        """Delete the entity at `key` with what cascades; False where there was none (NotFound under a parent)."""
        return self._write(scope, actor, lambda writer: writer.delete(type_name, key, parent))

    def apply(self, scope: Scope, actor: Actor, operations: Sequence[Operation]) -> list[Row | None]:
        """All of the operations in one transaction, or none (BatchRefused names the one)."""
        if len(operations) > self._settings.batch_size_max:
            raise LimitExceeded("operations of a batch", self._settings.batch_size_max)

        def work(writer: Writer) -> list[Row | None]:
            rows: list[Row | None] = []
            for position, operation in enumerate(operations):
                try:
                    rows.append(_perform(writer, operation))
                except (ControlError, SchemaViolation) as error:
                    raise BatchRefused(position, error) from error
            return rows

        return self._write(scope, actor, work)

    def get(self, scope: Scope, type_name: str, key: str, *, parent: Parent | None = None) -> Row:
        """The entity at `key`: an id, an endpoint key, or an SNI for certificates. Raises NotFound."""
        now = self._clock()
        with self._database.reading() as tx:
            lookup = Lookup(tx.entities, scope, now)
            entity = lookup.type(type_name)
            found = lookup.require(entity, key, parent)
            return self._shown(tx, lookup, entity, [found])[0]

    def page(
        self,
        scope: Scope,
        type_name: str,
        *,
        size: int = 100,
        offset: str | None = None,
        tags: str | None = None,
        parent: Parent | None = None,
        where: Mapping[str, str] | None = None,
    ) -> Page:
        """One page, by id. `tags` is a filter as clients write it (`a,b` all, `a/b` any); no matter under a parent.

        `where` filters by a unique field (`custom_id` of consumers).
        """
        check_size(size, self._settings.page_size_max)
        wanted = None if tags is None else parse_tags(tags, self._settings.tags_max)
        now = self._clock()
        with self._database.reading() as tx:
            lookup = Lookup(tx.entities, scope, now)
            entity = lookup.type(type_name)
            after = _after(offset)
            if after is None:
                return Page([], None)
            realm, workspace = lookup.realm, lookup.workspace_of(entity)
            if where:
                found = self._where(lookup, entity, where)
            elif parent is not None:
                field, target = lookup.parent(entity, parent)
                found = tx.entities.page_under(
                    realm,
                    workspace,
                    entity.name,
                    field=field,
                    target=target,
                    after=after,
                    limit=size + 1,
                    now=now,
                )
            elif wanted is not None:
                found = tx.entities.page_tagged(
                    realm,
                    workspace,
                    entity.name,
                    tags=wanted.tags,
                    match_all=wanted.match_all,
                    after=after,
                    limit=size + 1,
                    now=now,
                )
            else:
                found = tx.entities.page(realm, workspace, entity.name, after=after, limit=size + 1, now=now)
            rows = self._shown(tx, lookup, entity, found[:size])
        return Page(rows, encode_offset(rows[-1]["id"]) if len(found) > size else None)

    def find(
        self,
        scope: Scope,
        type_name: str,
        text: str,
        *,
        size: int = 100,
        offset: str | None = None,
        tags: str | None = None,
    ) -> Page:
        """One page, by id, of the entities that hold a text anywhere, and bear the `tags`; for people.

        Case does not matter; `tags` is a filter as `page` takes it.
        """
        check_size(size, self._settings.page_size_max)
        wanted = None if tags is None else parse_tags(tags, self._settings.tags_max)
        now = self._clock()
        with self._database.reading() as tx:
            lookup = Lookup(tx.entities, scope, now)
            entity = lookup.type(type_name)
            after = _after(offset)
            if after is None:
                return Page([], None)
            workspace = lookup.workspace_of(entity)
            found = tx.entities.page_found(
                lookup.realm,
                workspace,
                entity.name,
                text=text,
                tags=wanted.tags if wanted else (),
                match_all=wanted is None or wanted.match_all,
                after=after,
                limit=size + 1,
                now=now,
            )
            rows = self._shown(tx, lookup, entity, found[:size])
        return Page(rows, encode_offset(rows[-1]["id"]) if len(found) > size else None)

    def count(self, scope: Scope, type_name: str) -> int:
        """How many entities of a type there are."""
        return self.counts(scope, [type_name])[type_name]

    def counts(self, scope: Scope, type_names: Sequence[str]) -> dict[str, int]:
        """How many entities of each type there are, read at once."""
        with self._database.reading() as tx:
            lookup = Lookup(tx.entities, scope, self._clock())
            at = {name: lookup.workspace_of(lookup.type(name)) for name in type_names}
            found = tx.entities.counts(lookup.realm, sorted(set(at.values())), list(at), now=lookup.now)
        return {name: found.get((workspace, name), 0) for name, workspace in at.items()}

    def dependents(self, scope: Scope, type_name: str, ids: Collection[str]) -> dict[tuple[str, str], int]:
        """How many entities name one of these, by their type and the field that does."""
        if len(ids) > self._settings.page_size_max:
            raise LimitExceeded("entities that are read at once", self._settings.page_size_max)
        with self._database.reading() as tx:
            lookup = Lookup(tx.entities, scope, self._clock())
            workspace = lookup.workspace_of(lookup.type(type_name))
            return tx.entities.dependents(lookup.realm, workspace, type_name, ids=sorted(ids))

    def several(self, scope: Scope, wanted: Mapping[str, Collection[str]]) -> dict[tuple[str, str], Row]:
        """Entities by type and id, one statement for each type; what is not there is left out."""
        rows: dict[tuple[str, str], Row] = {}
        with self._database.reading() as tx:
            lookup = Lookup(tx.entities, scope, self._clock())
            for name, ids in wanted.items():
                if len(ids) > self._settings.page_size_max:
                    raise LimitExceeded("entities that are read at once", self._settings.page_size_max)
                if ids:
                    entity = lookup.type(name)
                    workspace = lookup.workspace_of(entity)
                    found = tx.entities.several(lookup.realm, workspace, name, ids=sorted(ids), now=lookup.now)
                    rows |= {(name, row["id"]): row for row in self._shown(tx, lookup, entity, found)}
        return rows

    def tags(self, scope: Scope, tag: str | None = None, *, size: int = 100, offset: str | None = None) -> Page:
        """Rows {tag, entity_name, entity_id}, of all tags or of one."""
        check_size(size, self._settings.page_size_max)
        if tag is not None:
            _check_tag(tag)
        after = ("", -1)
        if offset is not None:
            entity_id, position = decode_offset(offset, str, int)
            after = (entity_id, position)
        workspaces = (scope.workspace, SHARED_BY_ALL)
        with self._database.reading() as tx:
            lookup = Lookup(tx.entities, scope, self._clock())
            found = tx.entities.tags(lookup.realm, workspaces, tag=tag, after=after, limit=size + 1)
        rows = [{"tag": row.tag, "entity_name": row.type, "entity_id": row.id} for row in found[:size]]
        last = found[size - 1] if len(found) > size else None
        return Page(rows, None if last is None else encode_offset(last.id, last.position))

    def purge_expired(self, *, limit: int = 1000) -> int:
        """Delete entities whose lifetime is over, each control plane in one write; how many went."""
        now = self._clock()
        with self._database.reading() as tx:
            expired = tx.entities.expired(now=now, limit=limit)
        by_scope: dict[Scope, list[tuple[str, str]]] = {}
        for realm, key in expired:
            scope = Scope(realm.organization_id, realm.control_plane_id, key.workspace)
            by_scope.setdefault(scope, []).append((key.type, key.id))
        actor = Actor("system", "system", "expiry")
        for scope, keys in by_scope.items():
            self._write(scope, actor, lambda writer, keys=keys: writer.delete_expired(keys))  # type: ignore[misc]
        return len(expired)

    def _write(self, scope: Scope, actor: Actor, work: Callable[[Writer], T]) -> T:
        """Run `work` in one transaction and announce its revision.

        Where another process was faster, the database refuses the row: once more then, for the typed refusal.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._database.writing() as tx:
                    writer = Writer(tx, scope, actor, self._settings, self._clock())
                    result = work(writer)
                    revision = writer.finish()
            except StoreConflict:
                if attempt == _ATTEMPTS:
                    raise
                continue
            break
        if revision is not None:
            self._versions.announce(scope.control_plane_id, revision)
        return result

    def _where(self, lookup: Lookup, entity: EntityType, where: Mapping[str, str]) -> list[EntityRow]:
        field, value = next(iter(where.items()))
        found = lookup.by_unique(entity, single_key(entity, field, value, lookup.scope.workspace))
        return [] if found is None else [found]

    def _shown(self, tx: Transaction, lookup: Lookup, entity: EntityType, found: Sequence[EntityRow]) -> list[Row]:
        rows = [to_row(entity, row.body, now=lookup.now) for row in found]
        if entity.name == certificate_names.CERTIFICATES:
            certificate_names.show(tx.entities, lookup, rows)
        return rows


def _perform(writer: Writer, operation: Operation) -> Row | None:
    body = operation.body or {}
    if operation.kind == "create":
        return writer.create(operation.type_name, body, operation.parent)
    if operation.key is None:
        raise NotFound(operation.type_name, {"id": None})
    if operation.kind == "upsert":
        return writer.upsert(operation.type_name, operation.key, body, operation.parent)
    if operation.kind == "update":
        return writer.update(operation.type_name, operation.key, body, operation.parent)
    writer.delete(operation.type_name, operation.key, operation.parent)
    return None


def _after(offset: str | None) -> str | None:
    """The id that an offset leads past; None for an offset past everything."""
    if offset is None:
        return ""
    if offset == encode_offset():
        return None
    return str(decode_offset(offset, str)[0])


def _check_tag(tag: str) -> None:
    is_valid = tag and "," not in tag and "/" not in tag and all(ord(character) >= 32 for character in tag)
    if not is_valid:
        reason = f"invalid tag '{tag}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
        raise InvalidKey("tag", reason)
