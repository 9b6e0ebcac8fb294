"""The configuration of a control plane as nodes are sent it: flat, parents first, without what is switched off.

What is kept is already the form that is sent, so an export is a read and a join.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from twinplane.control.delta import Span, TooMuch, compare
from twinplane.control.errors import NotFound
from twinplane.control.publishing import epoch_of, forgotten_until
from twinplane.control.records import Export, ExportDelta, ExportRow
from twinplane.control.scope import DEFAULT_WORKSPACE
from twinplane.control.settings import ControlSettings
from twinplane.control.stored_form import canonical
from twinplane.registry import EntityType, entity_types
from twinplane.store.sql import SHARED_BY_ALL, ControlPlaneRow, Database, Realm, Transaction

DEFAULT_WORKSPACE_ID = "0dc6f45b-8f8d-40d2-a504-473544ee190b"

# Kept for the control plane's own use; nodes make theirs.
NEVER_SENT = frozenset(
    {"clustering_data_planes", "tags", "oauth2_authorization_codes", "sessions", "session_metadatas"}
)
# Sent of the control plane's own making, whatever is stored.
_OWN = ("parameters", "workspaces")
# Of a later edition, and sent all the same: what is made for a node leaves it out where the node does not know it.
# They stand last, so that a node can cut them off undecoded.
LICENSES = "licenses"


class Exports:
    """Payloads of control planes."""

    def __init__(self, database: Database, settings: ControlSettings) -> None:
        self._database = database
        self._settings = settings

    def payload(self, control_plane_id: str, *, all_types: bool = False, with_disabled: bool = False) -> Export:
        """The newest revision. `all_types` adds what a 3.9 oss node does not know."""
        with self._database.reading() as tx:
            plane = tx.control_planes.by_id(control_plane_id)
            if plane is None:
                raise NotFound("control_planes", {"id": control_plane_id})
            rows = self._rows(tx, plane, all_types=all_types, with_disabled=with_disabled)
            epoch = epoch_of(tx, control_plane_id)
        return Export(control_plane_id, plane.revision, epoch, rows)

    def position(self, control_plane_id: str) -> tuple[str, int] | None:
        """Epoch and revision that the store is at, None for a control plane that went."""
        with self._database.reading() as tx:
            plane = tx.control_planes.by_id(control_plane_id)
            return None if plane is None else (epoch_of(tx, control_plane_id), plane.revision)

    def positions(self, control_plane_ids: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """The same of several control planes; those that went are left out."""
        with self._database.reading() as tx:
            revisions = tx.control_planes.revisions(control_plane_ids)
            return {plane: (epoch_of(tx, plane), revision) for plane, revision in revisions.items()}

    def delta(self, control_plane_id: str, epoch: str, base: int, *, until: int | None = None) -> ExportDelta | None:
        """What leads from one revision of an epoch to another, the newest if not said.

        None where only the whole will do: another epoch, a revision that is not there or whose changes were forgotten,
        or more changes than may be compared.
        """
        with self._database.reading() as tx:
            plane = tx.control_planes.by_id(control_plane_id)
            if plane is None:
                raise NotFound("control_planes", {"id": control_plane_id})
            target = plane.revision if until is None else until
            is_known = forgotten_until(tx, control_plane_id) <= base <= target <= plane.revision
            if not is_known or epoch_of(tx, control_plane_id) != epoch:
                return None
            order = sent_types(entity_types(), all_types=False)
            realm = Realm(plane.organization_id, plane.id)
            try:
                changes = compare(
                    tx, realm, Span(base, target), sent=set(order), changes_max=self._settings.delta_changes_max
                )
            except TooMuch:
                return None
        return ExportDelta(control_plane_id, epoch, base, target, changes, (*_OWN, *order))

    def _rows(
        self, tx: Transaction, plane: ControlPlaneRow, *, all_types: bool, with_disabled: bool
    ) -> Mapping[str, Sequence[ExportRow]]:
        realm = Realm(plane.organization_id, plane.id)
        workspaces = (DEFAULT_WORKSPACE, SHARED_BY_ALL)
        order = sent_types(entity_types(), all_types=all_types)
        unsent = [name for name in entity_types() if name not in order]
        left_out = _left_out(tx, realm, workspaces, unsent=unsent, with_disabled=with_disabled)
        by_type: dict[str, list[ExportRow]] = {name: [] for name in order}
        # Rows past their lifetime are sent too: a revision is the same whenever it is asked for.
        for type_name, entity_id, revision, body in tx.entities.all(realm, workspaces):
            rows = by_type.get(type_name)
            if rows is not None and (type_name, entity_id) not in left_out:
                rows.append(ExportRow(entity_id, revision, body.encode()))
        own = {"parameters": [_parameter(plane)], "workspaces": [_workspace(plane)]}
        return {**own, **{name: rows for name, rows in by_type.items() if rows}}


def sent_types(types: Mapping[str, EntityType], *, all_types: bool) -> list[str]:
    """Which collections are sent, those that are named before those that name them; else by name."""
    known = {
        name: entity
        for name, entity in types.items()
        if name not in NEVER_SENT and name not in (*_OWN, LICENSES) and (all_types or entity.edition == "oss")
    }
    order: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in order or name in above or name not in known:
            return
        for target in sorted({foreign.target for foreign in known[name].foreign.values()}):
            visit(target, (*above, name))
        order.append(name)

    for name in sorted(known):
        visit(name, ())
    return [*order, LICENSES] if LICENSES in types else order


def _left_out(
    tx: Transaction, realm: Realm, workspaces: Sequence[str], *, unsent: Sequence[str], with_disabled: bool
) -> set[tuple[str, str]]:
    """What is switched off, what names something that is not sent, and all that stands on either.

    A plugin for a group of consumers must not become one for everybody where the node knows no groups.
    """
    disabled = () if with_disabled else tx.entities.disabled(realm, workspaces)
    left_out = {*disabled, *tx.entities.naming_types(realm, workspaces, unsent)}
    if not left_out:
        return left_out
    standing_on = _referrers(tx.entities.references(realm, workspaces))
    waiting = list(left_out)
    while waiting:
        for referrer in standing_on.get(waiting.pop(), ()):
            if referrer not in left_out:
                left_out.add(referrer)
                waiting.append(referrer)
    return left_out


def _referrers(references: Iterable[tuple[str, str, str, str]]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for type_name, entity_id, target_type, target_id in references:
        found.setdefault((target_type, target_id), []).append((type_name, entity_id))
    return found


def _parameter(plane: ControlPlaneRow) -> ExportRow:
    """A payload without this row would leave nodes of an empty control plane unready."""
    body = canonical({"created_at": None, "key": "cluster_id", "value": plane.id})
    return ExportRow("cluster_id", 0, body.encode())


def _workspace(plane: ControlPlaneRow) -> ExportRow:
    body = canonical(
        {
            "id": DEFAULT_WORKSPACE_ID,
            "name": DEFAULT_WORKSPACE,
            "comment": None,
            "config": {},
            "meta": {},
            "created_at": int(plane.created_at),
            "updated_at": int(plane.created_at),
        }
    )
    return ExportRow(DEFAULT_WORKSPACE_ID, 0, body.encode())
