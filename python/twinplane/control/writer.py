"""One accepted write: entities change, their keys and references with them, and every change is noted.

Lives within one transaction. The revision is counted up with the first change; `finish` appends the change log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from twinplane.control import certificate_names
from twinplane.control.audit import audit_change
from twinplane.control.errors import InvalidPrimaryKey, LimitExceeded, NotFound, PrimaryKeyViolation, UniqueViolation
from twinplane.control.ingress import check_may_write
from twinplane.control.lifetime import Lifetime, without_lifetime
from twinplane.control.lookup import Lookup
from twinplane.control.naming import check_name, is_uuid, name_field
from twinplane.control.references import (
    check_not_listed,
    check_targets,
    plan_deletion,
    reference_rows,
    resolve,
    told_precisely,
)
from twinplane.control.scope import Actor, Parent, Row, Scope
from twinplane.control.settings import ControlSettings
from twinplane.control.stored_form import to_body, to_row
from twinplane.control.uniqueness import claims
from twinplane.registry import EntityType, RouterFlavor, entity_type
from twinplane.schema import SchemaViolation
from twinplane.store.sql import ChangeRow, ControlPlaneRow, EntityKey, EntityRow, Transaction

# Null is no value of these, and a real node tells it in these words; see vectors/admin, `targets/create-null-weight`.
_NEVER_NULL = {"targets": ("weight",), "upstreams": ("slots",)}
# A duplicate id of these answers as a clash of their key; see vectors/admin, `create-duplicate-id`.
_ID_CLASH_NAMES_KEY = {"keyauth_credentials": "key", "jwt_secrets": "key"}


class Writer:
    """The steps of one write."""

    def __init__(self, tx: Transaction, scope: Scope, actor: Actor, settings: ControlSettings, now: float) -> None:
        self._tx = tx
        self._entities = tx.entities
        self._scope = scope
        self._actor = actor
        self._settings = settings
        self._now = now
        self._lookup = Lookup(tx.entities, scope, now)
        self._realm = self._lookup.realm
        self._revision: int | None = None
        self._noted: list[ChangeRow] = []
        self._plane = self._require_control_plane()
        self._lookup.flavor = cast("RouterFlavor", self._plane.router_flavor)

    def finish(self) -> int | None:
        """Append the change log; the new revision, None where nothing changed."""
        if self._noted:
            self._tx.changes.append(self._realm, self._noted)
            audit_change(self._tx, self._realm, self._actor, self._noted, now=self._now)
        return self._revision

    def create(self, type_name: str, body: Mapping[str, Any], parent: Parent | None) -> Row:
        """Insert a new entity."""
        entity = self._writable(type_name)
        given = self._under(entity, body, parent)
        return self._insert(entity, given)

    def upsert(self, type_name: str, key: str, body: Mapping[str, Any], parent: Parent | None) -> Row:
        """Replace what is at `key`, or insert it there. An entity of another parent is taken over."""
        entity = self._writable(type_name)
        given = self._under(entity, body, parent)
        if is_uuid(key):
            given["id"] = key.lower()
            existing = self._entities.get(self._realm, self._lookup.at(entity, key))
        else:
            existing = self._find_named(entity, key, given)
        if existing is None:
            return self._insert(entity, given)
        given["id"] = existing.key.id
        return self._replace(entity, existing, given)

    def update(self, type_name: str, key: str, patch: Mapping[str, Any], parent: Parent | None) -> Row:
        """Merge a patch into what is at `key`."""
        entity = self._writable(type_name)
        existing = self._lookup.require(entity, key, parent)
        given = dict(patch)
        if "id" in given and given["id"] != existing.key.id:
            raise NotFound(entity.name, {"id": existing.key.id})
        resolve(self._entities, self._realm, self._scope.workspace, entity, given)
        names = self._names(entity, given, is_whole=False)
        lifetime = Lifetime.taken_from(entity, given)
        before = without_lifetime(self._row(entity, existing))
        row = self._prepared(
            entity, given, lifetime, lambda: entity.prepare_update(given, existing=before, now=self._now)
        )
        expires_at = lifetime.ends_at(self._now) if lifetime.is_given else existing.expires_at
        return self._save(entity, existing, row, expires_at, names)

    def delete(self, type_name: str, key: str, parent: Parent | None) -> bool:
        """Delete what is at `key` with all that cascades."""
        entity = self._writable(type_name)
        found = self._lookup.find(entity, key, parent)
        if found is None:
            if parent is not None:
                raise NotFound(entity.name, self._lookup.named_by(entity, key), nested=True)
            return False
        self._delete(found.key)
        return True

    def delete_expired(self, keys: Sequence[tuple[str, str]]) -> None:
        """Delete entities of this scope whose lifetime is over."""
        for type_name, entity_id in keys:
            key = self._lookup.at(entity_type(type_name), entity_id)
            row = self._entities.get(self._realm, key)
            if row is not None and row.expires_at is not None and row.expires_at <= self._now:
                self._delete(key)

    def _writable(self, type_name: str) -> EntityType:
        """An entity type that the actor may write here. Raises ReadOnly."""
        entity = self._lookup.type(type_name)
        check_may_write(self._plane, self._actor, entity.name)
        return entity

    def _under(self, entity: EntityType, body: Mapping[str, Any], parent: Parent | None) -> dict[str, Any]:
        """The body with its parent's reference, and names resolved."""
        given = dict(body)
        if parent is not None:
            field, target = self._lookup.parent(entity, parent)
            given[field] = {"id": target.id}
        resolve(self._entities, self._realm, self._scope.workspace, entity, given)
        return given

    def _find_named(self, entity: EntityType, key: str, given: dict[str, Any]) -> EntityRow | None:
        """What a name in a path stands for; the name beats one in the body."""
        if entity.name == certificate_names.CERTIFICATES:
            try:
                return self._lookup.find(entity, key)
            except NotFound:
                return None
        field = name_field(entity)
        if field is not None and field in entity.unique_fields:
            check_name(entity, field, key)
            given[field] = key
            return self._lookup.find(entity, key)
        if field is None:
            raise InvalidPrimaryKey({"id": "expected a valid UUID"})
        parent = {name: given[name]["id"] for name in entity.foreign if isinstance(given.get(name), Mapping)}
        found = self._lookup.beside(entity, key, parent)
        if found is None or field not in given:
            given[field] = key
        return found

    def _insert(self, entity: EntityType, given: dict[str, Any]) -> Row:
        is_without_id = "id" in given and given["id"] is None
        if is_without_id:
            del given["id"]
        names = self._names(entity, given, is_whole=True)
        lifetime = Lifetime.taken_from(entity, given)
        row = self._prepared(entity, given, lifetime, lambda: entity.prepare_insert(given, now=self._now))
        if is_without_id:
            raise PrimaryKeyViolation({"id": None})
        key = self._lookup.at(entity, row["id"])
        self._check_free(entity, key, row)
        stored = self._stored(entity, key, row, lifetime.ends_at(self._now))
        references = reference_rows(entity, row, self._scope.workspace)
        check_targets(self._entities, self._realm, references)
        self._entities.insert(
            self._realm,
            stored,
            keys=[claim.key for claim in claims(entity, row, self._scope.workspace)],
            references=references,
            tags=row.get("tags") or (),
        )
        self._note("create", key, None, stored.body)
        return self._named(entity, stored, names)

    def _replace(self, entity: EntityType, existing: EntityRow, given: dict[str, Any]) -> Row:
        names = self._names(entity, given, is_whole=True)
        lifetime = Lifetime.taken_from(entity, given)
        before = without_lifetime(self._row(entity, existing))
        row = self._prepared(
            entity, given, lifetime, lambda: entity.prepare_replace(given, existing=before, now=self._now)
        )
        return self._save(entity, existing, row, lifetime.ends_at(self._now), names)

    def _prepared(
        self, entity: EntityType, given: Mapping[str, Any], lifetime: Lifetime, prepare: Callable[[], Row]
    ) -> Row:
        try:
            row = lifetime.prepared(prepare)
        except SchemaViolation as violation:
            raise SchemaViolation(told_precisely(entity, given, violation.errors)) from violation
        for field in _NEVER_NULL.get(entity.name, ()):
            if row.get(field) is None:
                raise PrimaryKeyViolation({"id": row["id"]})
        return row

    def _save(
        self,
        entity: EntityType,
        existing: EntityRow,
        row: Row,
        expires_at: float | None,
        names: list[str] | None,
    ) -> Row:
        """Write a changed row over an existing one."""
        row["id"] = existing.key.id
        self._check_claims(entity, existing.key, row)
        references = reference_rows(entity, row, self._scope.workspace)
        check_targets(self._entities, self._realm, references)
        stored = self._stored(entity, existing.key, row, expires_at)
        before = to_row(entity, existing.body, now=self._now)
        self._entities.update(
            self._realm,
            stored,
            keys=[claim.key for claim in claims(entity, row, self._scope.workspace)],
            references=references,
            tags=row.get("tags") or (),
            old_tags=before.get("tags") or (),
        )
        self._note("update", existing.key, existing.body, stored.body)
        return self._named(entity, stored, names)

    def _delete(self, key: EntityKey) -> None:
        check_not_listed(self._entities, self._realm, key)
        plan = plan_deletion(self._entities, self._realm, key)
        for owner, field in plan.emptied:
            self._empty(owner, field)
        for doomed in plan.doomed:
            row = self._entities.get(self._realm, doomed)
            if row is not None:
                self._count_up()
                self._entities.delete(self._realm, doomed)
                self._note("delete", doomed, row.body, None)

    def _empty(self, key: EntityKey, field: str) -> None:
        existing = self._entities.get(self._realm, key)
        if existing is not None:
            entity = entity_type(key.type)
            row = without_lifetime(to_row(entity, existing.body, now=self._now))
            row[field] = None
            self._save(entity, existing, row, existing.expires_at, None)

    def _check_free(self, entity: EntityType, key: EntityKey, row: Row) -> None:
        if self._entities.exists(self._realm, key):
            field = _ID_CLASH_NAMES_KEY.get(entity.name)
            if field is not None:
                raise UniqueViolation({field: row.get(field)})
            raise PrimaryKeyViolation({"id": key.id})
        self._check_claims(entity, key, row)

    def _check_claims(self, entity: EntityType, key: EntityKey, row: Row) -> None:
        for claim in claims(entity, row, self._scope.workspace):
            holder = self._entities.holder(self._realm, entity.name, claim.key)
            if holder is not None and holder != key:
                raise UniqueViolation(claim.fields)

    def _stored(self, entity: EntityType, key: EntityKey, row: Row, expires_at: float | None) -> EntityRow:
        body = to_body(entity, row, expires_at=expires_at)
        if len(body) > self._settings.entity_bytes_max:
            raise LimitExceeded("bytes of an entity", self._settings.entity_bytes_max)
        return EntityRow(
            key=key,
            body=body,
            enabled=row.get("enabled") is not False,
            created_at=float(row.get("created_at") or self._now),
            updated_at=float(row.get("updated_at") or self._now),
            expires_at=expires_at,
            revision=self._count_up(),
        )

    def _names(self, entity: EntityType, given: Mapping[str, Any], *, is_whole: bool) -> list[str] | None:
        """The names that a certificate's body asks for, each checked as a name in a path is."""
        if entity.name != certificate_names.CERTIFICATES:
            return None
        names = certificate_names.wanted(given, is_whole=is_whole)
        for name in names or ():
            check_name(entity_type(certificate_names.SNIS), "name", name)
        return names

    def _named(self, entity: EntityType, stored: EntityRow, names: list[str] | None) -> Row:
        """The answer to a write; a certificate's names are brought to what the body asked for."""
        row = self._row(entity, stored)
        if names is not None:
            self._set_names(stored.key, row[certificate_names.FIELD], names)
            row[certificate_names.FIELD] = sorted(names)
        return row

    def _set_names(self, certificate: EntityKey, old: Sequence[str], names: Sequence[str]) -> None:
        snis = entity_type(certificate_names.SNIS)
        for name in old:
            if name not in names:
                found = self._lookup.find(snis, name)
                if found is not None:
                    self._delete(found.key)
        for name in names:
            if name in old:
                continue
            if self._lookup.find(snis, name) is not None:
                raise UniqueViolation({"name": name})
            self._insert(snis, {"name": name, "certificate": {"id": certificate.id}})

    def _row(self, entity: EntityType, stored: EntityRow) -> Row:
        row = to_row(entity, stored.body, now=self._now)
        if entity.name == certificate_names.CERTIFICATES:
            certificate_names.show(self._entities, self._lookup, [row])
        return row

    def _note(self, operation: str, key: EntityKey, before: str | None, after: str | None) -> None:
        self._noted.append(
            ChangeRow(
                revision=self._count_up(),
                position=len(self._noted),
                at=self._now,
                actor_kind=self._actor.kind,
                actor_id=self._actor.id,
                actor_name=self._actor.name,
                operation=operation,
                key=key,
                before=before,
                after=after,
            )
        )

    def _count_up(self) -> int:
        """The revision of this write. Counting it up is also what makes writers of one control plane take turns."""
        if self._revision is None:
            self._revision = self._tx.control_planes.next_revision(self._realm)
            if self._revision is None:
                raise NotFound("control_planes", {"id": self._realm.control_plane_id})
        return self._revision

    def _require_control_plane(self) -> ControlPlaneRow:
        plane = self._tx.control_planes.get(self._realm.organization_id, self._realm.control_plane_id)
        if plane is None:
            raise NotFound("control_planes", {"id": self._realm.control_plane_id})
        return plane
