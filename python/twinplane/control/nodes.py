"""Data plane nodes: what each says of itself, what it runs, and what it should run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from twinplane.control.errors import NotFound
from twinplane.control.export import Exports
from twinplane.control.records import (
    ExpectedHash,
    Node,
    NodeAtEndOfLife,
    NodeHello,
    NodeIssue,
    NodePing,
    NodeReport,
    NodeTally,
)
from twinplane.control.scope import Scope
from twinplane.control.settings import ControlSettings
from twinplane.store.sql import Database, ExpectedHashRow, NodeRow, Realm, Transaction

NO_HASH = "0" * 32

FULLY_COMPATIBLE = "COMPATIBILITY_STATE_FULLY_COMPATIBLE"
INCOMPATIBLE = "COMPATIBILITY_STATE_INCOMPATIBLE"
UNKNOWN = "COMPATIBILITY_STATE_UNKNOWN"

# Versions older than this get a downgraded configuration at best; they are named in `nodes/eol`.
_OLDEST_SUPPORTED = (3, 4)
_TEXT_MAX = 255

ConfigHash = Callable[[Mapping[str, Any]], str]


class Nodes:
    """Data plane nodes as they report themselves."""

    def __init__(
        self,
        database: Database,
        exports: Exports,
        settings: ControlSettings,
        clock: Callable[[], float],
        config_hash: ConfigHash,
    ) -> None:
        self._database = database
        self._exports = exports
        self._settings = settings
        self._clock = clock
        self._config_hash = config_hash

    def record_hello(self, scope: Scope, hello: NodeHello) -> Node:
        """A node connected."""
        with self._database.writing() as tx:
            self._write_hello(tx, scope, hello)
        return self.get(scope, hello.id)

    def record_ping(
        self,
        scope: Scope,
        node_id: str,
        *,
        config_hash: str,
        revision: int | None = None,
        epoch: str | None = None,
    ) -> None:
        """A node is alive and runs the configuration of this hash."""
        self._record(NodeReport(scope, node_id, ping=NodePing(config_hash, revision, epoch)))

    def record_sync_status(self, scope: Scope, node_id: str, sync_status: str) -> None:
        """What became of the last push: unknown, normal, kong_version_incompatible, …"""
        self._record(NodeReport(scope, node_id, sync_status=sync_status))

    def record_issues(self, scope: Scope, node_id: str, issues: Sequence[NodeIssue]) -> None:
        """What the node cannot do; an empty list says that all is well."""
        self._record(NodeReport(scope, node_id, issues=issues))

    def record_reports(self, reports: Sequence[NodeReport]) -> Sequence[NodeReport]:
        """Write down what is new about many nodes, in one transaction. The answer is those of unknown nodes."""
        with self._database.writing() as tx:
            return [report for report in reports if not self._write(tx, report)]

    def _record(self, report: NodeReport) -> None:
        if self.record_reports([report]):
            raise NotFound("nodes", {"id": report.node_id})

    def _write(self, tx: Transaction, report: NodeReport) -> bool:
        """Write one report; False where the node, or its control plane, is not known."""
        if report.hello is not None:
            try:
                self._write_hello(tx, report.scope, report.hello)
            except NotFound:
                return False
        now = self._clock()
        values: dict[str, Any] = {"updated_at": now}
        if report.ping is not None:
            values |= {
                "config_hash": report.ping.config_hash[:_TEXT_MAX],
                "revision": report.ping.revision,
                "epoch": report.ping.epoch,
                "last_ping": now,
            }
        if report.sync_status is not None:
            values["sync_status"] = report.sync_status
        if report.issues is not None:
            values["issues"] = _json([_kept(issue) for issue in report.issues[: self._settings.node_issues_max]])
        return tx.nodes.update(_realm(report.scope), report.node_id, values)

    def _write_hello(self, tx: Transaction, scope: Scope, hello: NodeHello) -> None:
        now = self._clock()
        said = {
            "hostname": hello.hostname[:_TEXT_MAX],
            "ip": hello.ip[:_TEXT_MAX],
            "version": hello.version[:_TEXT_MAX],
            "type": hello.type[:_TEXT_MAX],
            "labels": _json(dict(hello.labels)),
            "certificate_id": hello.certificate_id,
            "certificate_expires_at": hello.certificate_expires_at,
            "last_ping": now,
            "updated_at": now,
        }
        if tx.control_planes.get(scope.organization_id, scope.control_plane_id) is None:
            raise NotFound("control_planes", {"id": scope.control_plane_id})
        if not tx.nodes.update(_realm(scope), hello.id, said):
            # A node makes up its id: who is let in cannot fill the store with ids.
            tx.nodes.make_room(_realm(scope), self._settings.nodes_max)
            tx.nodes.add(
                NodeRow(
                    organization_id=scope.organization_id,
                    control_plane_id=scope.control_plane_id,
                    id=hello.id,
                    config_hash=NO_HASH,
                    revision=None,
                    epoch=None,
                    sync_status="unknown",
                    issues=None,
                    created_at=now,
                    **said,  # type: ignore[arg-type]  # the columns named above
                )
            )

    def list(self, scope: Scope) -> Sequence[Node]:
        """All nodes of a control plane that were seen within the purge delay."""
        since = self._clock() - self._settings.node_purge_delay_s
        with self._database.reading() as tx:
            rows = tx.nodes.list(_realm(scope), since=since, limit=self._settings.nodes_max)
        return [_shown(row) for row in rows]

    def several(self, scope: Scope, node_ids: Sequence[str]) -> Sequence[Node]:
        """Nodes by their ids, read at once; those that are not there are left out."""
        with self._database.reading() as tx:
            rows = tx.nodes.several(
                _realm(scope), ids=node_ids, since=self._clock() - self._settings.node_purge_delay_s
            )
        return [_shown(row) for row in rows]

    def tallies(
        self, organization_id: str, control_plane_ids: Sequence[str], *, silent_s: float
    ) -> Mapping[str, NodeTally]:
        """How many nodes each control plane has, and how many pinged within `silent_s`; none: left out."""
        now = self._clock()
        with self._database.reading() as tx:
            found = tx.nodes.tallies(
                organization_id,
                control_plane_ids,
                since=now - self._settings.node_purge_delay_s,
                alive=now - silent_s,
            )
        return {plane: NodeTally(*counts) for plane, counts in found.items()}

    def get(self, scope: Scope, node_id: str) -> Node:
        """One node. Raises NotFound."""
        with self._database.reading() as tx:
            row = tx.nodes.get(_realm(scope), node_id)
        if row is None or row.last_ping <= self._clock() - self._settings.node_purge_delay_s:
            raise NotFound("nodes", {"id": node_id})
        return _shown(row)

    def delete(self, scope: Scope, node_id: str) -> bool:
        """Forget a node; it may come back. False where there was none."""
        with self._database.writing() as tx:
            return tx.nodes.delete(_realm(scope), node_id)

    def purge(self) -> int:
        """Forget the nodes that have been silent for too long; how many went."""
        silent_since = self._clock() - self._settings.node_purge_delay_s
        with self._database.writing() as tx:
            return tx.nodes.purge(silent_since=silent_since)

    def expected_hash(self, scope: Scope) -> ExpectedHash:
        """The hash of the newest revision: it always covers every acknowledged write."""
        with self._database.reading() as tx:
            plane = tx.control_planes.get(scope.organization_id, scope.control_plane_id)
            if plane is None:
                raise NotFound("control_planes", {"id": scope.control_plane_id})
            known = tx.control_planes.expected_hash(scope.control_plane_id)
        if known is not None and known.revision == plane.revision:
            return ExpectedHash(known.hash, known.created_at, known.updated_at)
        export = self._exports.payload(scope.control_plane_id)
        return self.record_expected_hash(
            scope.control_plane_id, export.revision, self._config_hash(export.config_table)
        )

    def record_expected_hash(self, control_plane_id: str, revision: int, config_hash: str) -> ExpectedHash:
        """Keep the hash of a payload, so that it is not computed twice. Older revisions change nothing."""
        now = self._clock()
        with self._database.writing() as tx:
            known = tx.control_planes.expected_hash(control_plane_id)
            if known is not None and known.revision == revision and known.hash == config_hash:
                return ExpectedHash(known.hash, known.created_at, known.updated_at)
            row = ExpectedHashRow(
                control_plane_id=control_plane_id,
                revision=revision,
                hash=config_hash,
                created_at=now if known is None else known.created_at,
                updated_at=now if known is None or known.hash != config_hash else known.updated_at,
            )
            if tx.control_planes.by_id(control_plane_id) is not None:
                tx.control_planes.put_expected_hash(row)
        return ExpectedHash(row.hash, row.created_at, row.updated_at)

    def at_end_of_life(self, scope: Scope) -> Sequence[NodeAtEndOfLife]:
        """Nodes whose version is no longer looked after."""
        oldest = ".".join(str(part) for part in _OLDEST_SUPPORTED)
        return [
            NodeAtEndOfLife(node.id, node.version, f"versions below {oldest} have reached their end of life")
            for node in self.list(scope)
            if _version(node.version) < _OLDEST_SUPPORTED
        ]


def _realm(scope: Scope) -> Realm:
    return Realm(scope.organization_id, scope.control_plane_id)


def _kept(issue: NodeIssue) -> dict[str, Any]:
    return {
        "code": issue.code,
        "severity": issue.severity,
        "description": issue.description,
        "resolution": issue.resolution,
        "documentation_url": issue.documentation_url,
        "affected_resources": [dict(resource) for resource in issue.affected_resources],
    }


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _version(text: str) -> tuple[int, ...]:
    parts = []
    for part in text.split(".")[:2]:
        if not part.isdigit():
            break
        parts.append(int(part))
    return tuple(parts)


def _shown(row: NodeRow) -> Node:
    issues = None if row.issues is None else [NodeIssue(**issue) for issue in orjson.loads(row.issues)]
    return Node(
        id=row.id,
        control_plane_id=row.control_plane_id,
        hostname=row.hostname,
        ip=row.ip,
        version=row.version,
        type=row.type,
        labels=orjson.loads(row.labels),
        last_ping=row.last_ping,
        config_hash=row.config_hash,
        revision=row.revision,
        epoch=row.epoch,
        sync_status=row.sync_status,
        compatibility_state=_compatibility(row, issues),
        issues=issues or [],
        certificate_id=row.certificate_id,
        certificate_expires_at=row.certificate_expires_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _compatibility(row: NodeRow, issues: Sequence[NodeIssue] | None) -> str:
    """Unknown until the node runs a configuration; then what it, its ingress controller, or the push told."""
    if row.told_compatibility is not None:
        return row.told_compatibility
    if issues or row.sync_status.endswith("_incompatible"):
        return INCOMPATIBLE
    if row.config_hash in ("", NO_HASH):
        return UNKNOWN
    return FULLY_COMPATIBLE
