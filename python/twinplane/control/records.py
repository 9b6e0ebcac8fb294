"""What the platform keeps besides entities, as it crosses this room's edge. Times are Unix seconds (float)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

import orjson

from twinplane.control.scope import Actor, Scope
from twinplane.control.table_text import join_table

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NumberedPage(Generic[T]):
    """One page by number, with the count of all."""

    rows: list[T]
    number: int
    size: int
    total: int


@dataclass(frozen=True, slots=True)
class Organization:
    """A tenant."""

    id: str
    name: str
    state: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class User:
    """A person of an organization."""

    id: str
    organization_id: str
    email: str
    full_name: str
    preferred_name: str
    active: bool
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Token:
    """A personal access token, without its secret. `state` is ACTIVE, REVOKED or EXPIRED."""

    id: str
    organization_id: str
    user_id: str
    name: str
    state: str
    created_at: float
    updated_at: float
    expires_at: float
    last_used_at: float | None
    revoked_at: float | None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a bearer token speaks for."""

    actor: Actor
    organization_id: str
    user_id: str
    token_id: str


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """One isolated gateway configuration with its nodes."""

    id: str
    organization_id: str
    region: str
    name: str
    description: str
    labels: Mapping[str, str]
    cluster_type: str
    auth_type: str
    cloud_gateway: bool
    proxy_urls: Sequence[Mapping[str, Any]]
    router_flavor: str
    prefix: str
    control_plane_endpoint: str
    telemetry_endpoint: str
    revision: int
    created_at: float
    updated_at: float

    @property
    def scope(self) -> Scope:
        """Where its entities are."""
        return Scope(self.organization_id, self.id)


@dataclass(frozen=True, slots=True)
class NodeCertificate:
    """A certificate that lets nodes in: a pinned leaf, or an authority where the control plane says `pki`."""

    id: str
    control_plane_id: str
    cert: str
    title: str
    fingerprint: str
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class NodeHello:
    """What a node says of itself when it connects, and what the handshake showed."""

    id: str
    hostname: str
    ip: str
    version: str
    type: str = "kong-proxy"
    labels: Mapping[str, str] = field(default_factory=dict)
    certificate_id: str | None = None
    certificate_expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class NodeIssue:
    """Something that a node cannot do as configured."""

    code: str
    severity: str
    description: str
    resolution: str = ""
    documentation_url: str = ""
    affected_resources: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class NodePing:
    """What a node runs, as its last sign of life says."""

    config_hash: str
    revision: int | None = None
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What is new about a node; None where nothing is."""

    scope: Scope
    node_id: str
    hello: NodeHello | None = None
    ping: NodePing | None = None
    sync_status: str | None = None
    issues: Sequence[NodeIssue] | None = None


@dataclass(frozen=True, slots=True)
class NodeTally:
    """How many nodes a control plane has, and how many of them are there."""

    known: int
    alive: int


@dataclass(frozen=True, slots=True)
class Node:
    """One data plane node as its control plane last saw it."""

    id: str
    control_plane_id: str
    hostname: str
    ip: str
    version: str
    type: str
    labels: Mapping[str, str]
    last_ping: float
    config_hash: str
    revision: int | None
    epoch: str | None
    sync_status: str
    compatibility_state: str
    issues: Sequence[NodeIssue]
    certificate_id: str | None
    certificate_expires_at: float | None
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class NodeAtEndOfLife:
    """A node whose version is no longer looked after."""

    node_id: str
    node_version: str
    message: str


@dataclass(frozen=True, slots=True)
class ExpectedHash:
    """The hash that every node of a control plane should report, and since when."""

    hash: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One entity as nodes are sent it: canonical JSON (keys sorted, bare ids), and the revision that wrote it."""

    id: str
    revision: int
    body: bytes


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row of a config table that is set, or that goes where `row` is None."""

    collection: str
    id: str
    row: bytes | None


@dataclass(frozen=True, slots=True)
class ExportDelta:
    """What leads from the payload of one revision to that of another. `order` is that of all collections."""

    control_plane_id: str
    epoch: str
    base: int
    revision: int
    changes: Sequence[RowChange]
    order: Sequence[str]


@dataclass(frozen=True)
class Export:
    """The configuration of a control plane at one revision, flat, parents first.

    `rows` are the stored bytes by collection, `json()` joins them into a config table, `config_table` is it decoded.
    """

    control_plane_id: str
    revision: int
    epoch: str
    rows: Mapping[str, Sequence[ExportRow]]

    def json(self) -> bytes:
        """The config table as JSON, joined from the stored bytes; collections without rows are absent."""
        return join_table((collection, [row.body for row in rows]) for collection, rows in self.rows.items())

    @cached_property
    def config_table(self) -> dict[str, Any]:
        """The config table, decoded. Do not change it: it is shared."""
        table: dict[str, Any] = orjson.loads(self.json())
        return table


@dataclass(frozen=True, slots=True)
class Change:
    """One accepted write. Values of secret fields are masked in `before` and `after`."""

    revision: int
    position: int
    at: float
    actor: Actor
    type_name: str
    entity_id: str
    operation: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
