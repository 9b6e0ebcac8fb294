"""Rows as they leave the store: plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass

SHARED_BY_ALL = "*"
"""Stands for the workspace where an entity or a unique key belongs to all workspaces of a control plane."""


@dataclass(frozen=True, slots=True)
class Realm:
    """Which organization and control plane a statement works in."""

    organization_id: str
    control_plane_id: str


@dataclass(frozen=True, slots=True)
class EntityKey:
    """Where one entity is, within a realm."""

    workspace: str
    type: str
    id: str


@dataclass(frozen=True, slots=True)
class EntityRow:
    """One entity. `body` is canonical JSON with references as bare ids."""

    key: EntityKey
    body: str
    enabled: bool
    created_at: float
    updated_at: float
    expires_at: float | None
    revision: int


@dataclass(frozen=True, slots=True)
class UniqueKeyRow:
    """A value that no two entities of a type may hold. `shared_by` is a workspace or `*`."""

    shared_by: str
    field: str
    value: str


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """A reference that is set: `field` of the owner names `target`."""

    field: str
    target: EntityKey


@dataclass(frozen=True, slots=True)
class Referrer:
    """An entity that names another one, and by which field."""

    key: EntityKey
    field: str


@dataclass(frozen=True, slots=True)
class TagRow:
    """One tag of one entity; `position` is its place in the entity's list."""

    type: str
    id: str
    position: int
    tag: str


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One line of the change log."""

    revision: int
    position: int
    at: float
    actor_kind: str
    actor_id: str
    actor_name: str
    operation: str
    key: EntityKey
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class OrganizationRow:
    """A tenant."""

    id: str
    name: str
    state: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class UserRow:
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
class SessionRow:
    """Somebody who is signed in."""

    hash: str
    organization_id: str
    user_id: str
    token_id: str
    created_at: float
    last_used_at: float


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token; `hash` is keyed."""

    id: str
    organization_id: str
    user_id: str
    name: str
    hash: str
    created_at: float
    updated_at: float
    expires_at: float
    last_used_at: float | None
    revoked_at: float | None


@dataclass(frozen=True, slots=True)
class ControlPlaneRow:
    """A control plane; `labels` and `proxy_urls` are JSON."""

    id: str
    organization_id: str
    region: str
    name: str
    description: str
    labels: str
    cluster_type: str
    auth_type: str
    cloud_gateway: bool
    proxy_urls: str
    router_flavor: str
    prefix: str
    is_predefined: bool
    revision: int
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class ExpectedHashRow:
    """The hash of a revision's payload, and since when."""

    control_plane_id: str
    revision: int
    hash: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class NodeCertificateRow:
    """A certificate that lets nodes in."""

    organization_id: str
    control_plane_id: str
    id: str
    cert: str
    title: str
    fingerprint: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node; `labels` and `issues` are JSON, `issues` None until the node or the link has told."""

    organization_id: str
    control_plane_id: str
    id: str
    hostname: str
    ip: str
    version: str
    type: str
    labels: str
    last_ping: float
    config_hash: str
    revision: int | None
    epoch: str | None
    sync_status: str
    issues: str | None
    certificate_id: str | None
    certificate_expires_at: float | None
    created_at: float
    updated_at: float
    told_compatibility: str | None = None


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One audit record as it is kept. `detail` is canonical JSON; `hash` is over everything else and `previous`."""

    position: int
    at: float
    kind: str
    organization_id: str
    control_plane_id: str | None
    node_id: str | None
    certificate_id: str | None
    actor_kind: str | None
    actor_id: str | None
    actor_name: str | None
    client_ip: str | None
    result: str
    request_id: str | None
    detail: str
    previous: str
    hash: str
