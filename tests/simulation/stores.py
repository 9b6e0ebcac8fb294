"""What the control plane stands on: the real control room over SQLite, or a small model with the same doors.

The model is for speed: the link server above it is the product's either way. Both are durable at each commit, can be
backed up and restored, and take a new epoch at each start as the product does.
"""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

from twinplane.control import Actor, Control, ControlPlane, ControlSettings, NodeCertificate, NodeReport, Operation
from twinplane.control.epoch import is_outdated, new_epoch
from twinplane.control.errors import ControlError
from twinplane.control.records import Export, ExportDelta, ExportRow, RowChange
from twinplane.control.versions import Versions
from twinplane.hybrid.hashing import config_hash

Body = dict[str, Any]
Content = tuple[tuple[str, str, str], ...]
"""What a configuration means to the simulation: (type, id, text) of each entity, sorted."""


@dataclass(frozen=True)
class Op:
    """One step of a write; `body` is None for a delete."""

    type_name: str
    id: str
    body: Body | None


def content_of(table: bytes) -> Content:
    """What a config table holds."""
    decoded = orjson.loads(table)
    services = [("services", row["id"], f"{row['name']} {row['host']}") for row in decoded.get("services") or ()]
    routes = [
        ("routes", row["id"], f"{row['name']} {row['paths'][0]} {row['service']}")
        for row in decoded.get("routes") or ()
    ]
    return tuple(sorted(services + routes))


def content_of_bodies(entities: dict[tuple[str, str], Body]) -> Content:
    """What entities hold, as they were written."""
    found = []
    for (type_name, entity_id), body in entities.items():
        if type_name == "services":
            found.append((type_name, entity_id, f"{body['name']} {body['host']}"))
        else:
            found.append((type_name, entity_id, f"{body['name']} {body['paths'][0]} {body['service']['id']}"))
    return tuple(sorted(found))


def wall() -> float:
    """The simulated time of day: asked anew each time, as it is patched after the product was imported."""
    return time.time()


class Store(Protocol):
    """A control plane's durable half, opened."""

    control: Any
    plane_id: str

    def commit(self, ops: Sequence[Op]) -> None:
        """One write, whole."""

    def position(self) -> tuple[str, int]:
        """Epoch and newest revision."""

    def expected_hash(self) -> str:
        """The hash that nodes should report."""

    def node_hashes(self) -> dict[str, str]:
        """What each node reported last."""

    def close(self) -> None:
        """Close it as a process that ends; kills do not call this."""


Reported = Callable[[NodeReport], None]


class Shelf(Protocol):
    """Where stores lie between starts."""

    def open(self, on_report: Reported) -> Store:
        """Start on it."""

    def backup(self) -> object:
        """A copy of all that is durable, between two writes."""

    def restore(self, copied: object) -> None:
        """Put a copy back; nothing may be open."""


# --- the model ---


Rows = dict[tuple[str, str], bytes]


@dataclass
class _Durable:
    epoch: str = ""
    entities: dict[tuple[str, str], Body] = field(default_factory=dict)
    revision: int = 0
    history: dict[int, Rows] = field(default_factory=lambda: {0: {}})
    nodes: dict[str, str] = field(default_factory=dict)


class ModelShelf:
    """Stores of the model. `log_kept`: from how many revisions back changes are known."""

    def __init__(self, plane: ControlPlane, certificate: NodeCertificate, log_kept: int) -> None:
        self._plane, self._certificate, self._log_kept = plane, certificate, log_kept
        self._durable = _Durable()

    def open(self, on_report: Reported) -> ModelStore:
        return ModelStore(self._durable, self._plane, self._certificate, on_report, self._log_kept)

    def backup(self) -> object:
        return copy.deepcopy(self._durable)

    def restore(self, copied: object) -> None:
        assert isinstance(copied, _Durable)
        self._durable = copy.deepcopy(copied)


class ModelStore:
    """The doors of `Control` that the link server uses, over dictionaries."""

    def __init__(
        self,
        durable: _Durable,
        plane: ControlPlane,
        certificate: NodeCertificate,
        on_report: Reported,
        log_kept: int,
    ) -> None:
        self._durable, self._plane, self._on_report = durable, plane, on_report
        self._certificate, self._log_kept = certificate, log_kept
        self.plane_id = plane.id
        durable.epoch = durable.epoch or new_epoch(time.time())
        self.control = self
        self.settings = ControlSettings()
        self.versions = Versions()
        self.certificates = self.control_planes = self.export = self.nodes = self.publishing = self

    def commit(self, ops: Sequence[Op]) -> None:
        durable = self._durable
        durable.revision += 1
        for op in ops:
            if op.body is None:
                del durable.entities[op.type_name, op.id]
            else:
                durable.entities[op.type_name, op.id] = op.body
        durable.history[durable.revision] = {key: _row(key[1], body) for key, body in durable.entities.items()}
        durable.history.pop(durable.revision - self._log_kept, None)
        self.versions.announce(self.plane_id, durable.revision)

    def position(self, control_plane_id: str | None = None) -> tuple[str, int]:
        return self._durable.epoch, self._durable.revision

    def expected_hash(self) -> str:
        return config_hash(self.payload(self.plane_id).config_table)

    def node_hashes(self) -> dict[str, str]:
        return dict(self._durable.nodes)

    def close(self) -> None:
        pass

    # The doors of the control room:

    def payload(self, control_plane_id: str, *, all_types: bool = False, with_disabled: bool = False) -> Export:
        """Of `export`."""
        durable = self._durable
        rows: dict[str, list[ExportRow]] = {}
        for (type_name, entity_id), row in sorted(durable.history[durable.revision].items()):
            rows.setdefault(type_name, []).append(ExportRow(entity_id, 0, row))
        own = {"parameters": [ExportRow("cluster_id", 0, b'{"key":"cluster_id","value":"x"}')]}
        ordered = own | {name: rows[name] for name in ("services", "routes") if name in rows}
        return Export(control_plane_id, durable.revision, durable.epoch, ordered)

    def delta(self, control_plane_id: str, epoch: str, base: int, *, until: int | None = None) -> ExportDelta | None:
        """Of `export`."""
        durable = self._durable
        target = durable.revision if until is None else until
        if epoch != durable.epoch or base not in durable.history or not base <= target <= durable.revision:
            return None
        then, now = durable.history[base], durable.history.get(target)
        if now is None:
            return None
        changes = [RowChange(*key, now.get(key)) for key in sorted({*then, *now}) if then.get(key) != now.get(key)]
        return ExportDelta(control_plane_id, epoch, base, target, changes, ("parameters", "services", "routes"))

    def positions(self, control_plane_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Of `export`."""
        return {one: self.position() for one in control_plane_ids if one == self.plane_id}

    def renew_epoch(self, control_plane_id: str, *, epoch: str, revision: int) -> bool:
        """Of `publishing`."""
        durable = self._durable
        if not is_outdated(durable.epoch, durable.revision, epoch, revision):
            return False
        durable.epoch = new_epoch(time.time(), after=max(durable.epoch, epoch))
        return True

    def record_expected_hash(self, control_plane_id: str, revision: int, config_hash: str) -> None:
        """Of `nodes`."""

    def record_reports(self, reports: Sequence[NodeReport]) -> Sequence[NodeReport]:
        """Of `nodes`."""
        for report in reports:
            self._on_report(report)
            if report.ping is not None:
                self._durable.nodes[report.node_id] = report.ping.config_hash
        return []

    def find_by_fingerprint(self, sha256: str) -> tuple[ControlPlane, NodeCertificate] | None:
        """Of `certificates`."""
        return (self._plane, self._certificate) if sha256 == self._certificate.fingerprint else None

    def authorities(self, control_plane_id: str) -> Sequence[NodeCertificate]:
        """Of `certificates`."""
        return []

    def on_removed(self, listener: Any) -> Callable[[], None]:
        """Of `certificates`."""
        return lambda: None

    def find(self, control_plane_id: str) -> ControlPlane | None:
        """Of `control_planes`."""
        return self._plane if control_plane_id == self._plane.id else None

    def find_by_prefix(self, prefix: str) -> ControlPlane | None:
        """Of `control_planes`."""
        return self._plane if prefix == self._plane.prefix else None


def _row(entity_id: str, body: Body) -> bytes:
    sent = {"id": entity_id, **body}
    if "service" in sent:
        sent["service"] = sent["service"]["id"]
    return orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)


# --- the real one ---


class RealShelf:
    """Data directories of the real control room."""

    def __init__(self, directory: Path, template: Path, plane: ControlPlane) -> None:
        self._directory, self._plane = directory / "data", plane
        self._copies = 0
        shutil.copytree(template, self._directory)

    def open(self, on_report: Reported) -> RealStore:
        return RealStore(Control.open(self._directory, config_hash=config_hash, clock=wall), self._plane, on_report)

    def backup(self) -> object:
        self._copies += 1
        target = self._directory.with_name(f"backup-{self._copies}")
        shutil.copytree(self._directory, target)
        return target

    def restore(self, copied: object) -> None:
        assert isinstance(copied, Path)
        shutil.rmtree(self._directory)
        shutil.copytree(copied, self._directory)


class RealStore:
    """A `Control`, opened."""

    def __init__(self, control: Control, plane: ControlPlane, on_report: Reported) -> None:
        self.control, self._plane = control, plane
        self.plane_id = plane.id
        self._actor = Actor("user", "u", "operator")
        record = control.nodes.record_reports

        def recorded(reports: Sequence[NodeReport]) -> Sequence[NodeReport]:
            for report in reports:
                on_report(report)
            return record(reports)

        control.nodes.record_reports = recorded  # type: ignore[method-assign]

    def commit(self, ops: Sequence[Op]) -> None:
        steps = [
            Operation("upsert", op.type_name, op.id, op.body)
            if op.body is not None
            else Operation("delete", op.type_name, op.id)
            for op in ops
        ]
        try:
            self.control.changes.apply(self._plane.scope, self._actor, steps)
        except ControlError as error:
            raise AssertionError(f"a write was refused: {error!r}") from error

    def position(self) -> tuple[str, int]:
        found = self.control.export.position(self.plane_id)
        assert found is not None
        return found

    def expected_hash(self) -> str:
        return self.control.nodes.expected_hash(self._plane.scope).hash

    def node_hashes(self) -> dict[str, str]:
        return {node.id: node.config_hash for node in self.control.nodes.list(self._plane.scope)}

    def close(self) -> None:
        self.control.close()
