"""The room opened: one `Control` holds the store and every use case. Synchronous and safe to call from many threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from twinplane.control.records import (
    Change,
    ControlPlane,
    ExpectedHash,
    Export,
    Node,
    NodeAtEndOfLife,
    NodeCertificate,
    NodeHello,
    NodeIssue,
    NumberedPage,
    Organization,
    Principal,
    Token,
    User,
)
from twinplane.control.scope import Actor, Page, Parent, Row, Scope
from twinplane.control.versions import Versions


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """What the platform is told once, when it opens."""

    domain: str = "twinplane.localhost"
    advertised_port: int = 443
    regions: tuple[str, ...] = ("us",)
    page_size_max: int = 1000
    entity_bytes_max: int = 4 * 1024 * 1024
    batch_size_max: int = 100_000
    tags_max: int = 5
    node_purge_delay_s: int = 14 * 24 * 3600
    node_certificates_max: int = 256
    busy_timeout_ms: int = 10_000


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a batch. `key` is an id or endpoint key; `body` is None for a delete."""

    kind: Literal["create", "upsert", "update", "delete"]
    type_name: str
    key: str | None = None
    body: Mapping[str, Any] | None = None
    parent: Parent | None = None


class Changes:
    """Entities: the only writer of them. Each call is one transaction with its rows in the change log."""

    def create(
        self, scope: Scope, actor: Actor, type_name: str, body: Mapping[str, Any], *, parent: Parent | None = None
    ) -> Row:
        """Create an entity (POST). Raises SchemaViolation, UniqueViolation, PrimaryKeyViolation, ForeignKey…"""
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

    def delete(self, scope: Scope, actor: Actor, type_name: str, key: str, *, parent: Parent | None = None) -> bool:
        """Delete the entity at `key` with what cascades; False where there was none (NotFound under a parent)."""
        raise NotImplementedError

    def get(self, scope: Scope, type_name: str, key: str, *, parent: Parent | None = None) -> Row:
        """The entity at `key`: an id, an endpoint key, or an SNI for certificates. Raises NotFound."""
        raise NotImplementedError

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
        """One page, by id. `tags` is a filter as clients write it (`a,b` all, `a/b` any).

        `where` filters by a unique field (`custom_id` of consumers).
        """
        raise NotImplementedError

    def apply(self, scope: Scope, actor: Actor, operations: Sequence[Operation]) -> list[Row | None]:
        """All of the operations in one transaction, or none (BatchRefused names the one)."""
        raise NotImplementedError

    def tags(self, scope: Scope, tag: str | None = None, *, size: int = 100, offset: str | None = None) -> Page:
        """Rows {tag, entity_name, entity_id}, of all tags or of one."""
        raise NotImplementedError


class Organizations:
    """Tenants."""

    def get(self, organization_id: str) -> Organization:
        """The organization. Raises NotFound."""
        raise NotImplementedError

    def first(self) -> Organization:
        """The organization made at the first start."""
        raise NotImplementedError


class Users:
    """People of an organization."""

    def get(self, organization_id: str, user_id: str) -> User:
        """The user. Raises NotFound."""
        raise NotImplementedError


class Tokens:
    """Personal access tokens; only keyed hashes are kept."""

    def first_run(self) -> str | None:
        """The first admin token, made and told once: on the very first start. None later."""
        raise NotImplementedError

    def create(
        self, organization_id: str, user_id: str, name: str, *, expires_at: float | None = None
    ) -> tuple[Token, str]:
        """A new token and its secret, which is never shown again."""
        raise NotImplementedError

    def authenticate(self, bearer: str) -> Principal:
        """Who the token speaks for. Raises TokenInvalid, TokenExpired, TokenRevoked."""
        raise NotImplementedError

    def list(self, organization_id: str, user_id: str) -> Sequence[Token]:
        """All tokens of a user, oldest first."""
        raise NotImplementedError

    def get(self, organization_id: str, user_id: str, token_id: str) -> Token:
        """One token. Raises NotFound."""
        raise NotImplementedError

    def revoke(self, organization_id: str, user_id: str, token_id: str) -> Token:
        """Make a token worthless from now on."""
        raise NotImplementedError

    def delete(self, organization_id: str, user_id: str, token_id: str) -> None:
        """Forget a token, which makes it worthless too."""
        raise NotImplementedError


class ControlPlanes:
    """Control planes of an organization, by region."""

    def create(self, organization_id: str, region: str, actor: Actor, fields: Mapping[str, object]) -> ControlPlane:
        """A new control plane. `fields` as in the Konnect request; raises InvalidParameters, NameTaken."""
        raise NotImplementedError

    def get(self, organization_id: str, region: str, control_plane_id: str) -> ControlPlane:
        """One control plane. Raises NotFound, also for a foreign one."""
        raise NotImplementedError

    def default(self, organization_id: str, region: str) -> ControlPlane:
        """The predefined one of a region."""
        raise NotImplementedError

    def list(
        self,
        organization_id: str,
        region: str,
        *,
        number: int = 1,
        size: int = 100,
        filters: Mapping[str, Mapping[str, str]] | None = None,
        labels: str | None = None,
        sort: str | None = None,
    ) -> NumberedPage[ControlPlane]:
        """Control planes of a region. `filters` is field to {operator: value}, `labels` is `key:value,key`."""
        raise NotImplementedError

    def update(
        self,
        organization_id: str,
        region: str,
        actor: Actor,
        control_plane_id: str,
        fields: Mapping[str, object],
    ) -> ControlPlane:
        """Change the given fields. A label set to None goes."""
        raise NotImplementedError

    def delete(self, organization_id: str, region: str, actor: Actor, control_plane_id: str) -> None:
        """Delete a control plane with all it holds. Raises Predefined for `default`."""
        raise NotImplementedError

    def find_by_prefix(self, prefix: str) -> ControlPlane | None:
        """The control plane whose host names begin with `prefix`."""
        raise NotImplementedError

    def find(self, control_plane_id: str) -> ControlPlane | None:
        """By id alone, of whatever organization: for the link, which has authenticated otherwise."""
        raise NotImplementedError


class NodeCertificates:
    """Certificates that let nodes in (`dp-client-certificates`)."""

    def create(self, scope: Scope, actor: Actor, cert: str, *, title: str = "") -> NodeCertificate:
        """Pin a certificate. Raises InvalidParameters, NameTaken (the same one is pinned somewhere)."""
        raise NotImplementedError

    def replace(
        self, scope: Scope, actor: Actor, certificate_id: str, cert: str, *, title: str = ""
    ) -> NodeCertificate:
        """Put a certificate at an id, creating it where there is none."""
        raise NotImplementedError

    def get(self, scope: Scope, certificate_id: str) -> NodeCertificate:
        """One certificate. Raises NotFound."""
        raise NotImplementedError

    def list(self, scope: Scope) -> Sequence[NodeCertificate]:
        """All of a control plane, oldest first."""
        raise NotImplementedError

    def delete(self, scope: Scope, actor: Actor, certificate_id: str) -> bool:
        """Unpin; False where there was none. Subscribers of `on_removed` end live sessions."""
        raise NotImplementedError

    def find_by_fingerprint(self, sha256: str) -> tuple[ControlPlane, NodeCertificate] | None:
        """Which control plane a presented certificate (hex SHA-256 of its DER) is pinned to."""
        raise NotImplementedError

    def authorities(self, control_plane_id: str) -> Sequence[NodeCertificate]:
        """The authorities of a control plane whose auth_type is pki_client_certs; else empty."""
        raise NotImplementedError

    def on_removed(self, subscriber: Callable[[str, str], None]) -> Callable[[], None]:
        """Have `subscriber` called with (control plane id, fingerprint) after a certificate went."""
        raise NotImplementedError


class Nodes:
    """Data plane nodes as they report themselves."""

    def record_hello(self, scope: Scope, hello: NodeHello) -> Node:
        """A node connected."""
        raise NotImplementedError

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
        raise NotImplementedError

    def record_sync_status(self, scope: Scope, node_id: str, sync_status: str) -> None:
        """What became of the last push: unknown, normal, kong_version_incompatible, …"""
        raise NotImplementedError

    def record_issues(self, scope: Scope, node_id: str, issues: Sequence[NodeIssue]) -> None:
        """What the node cannot do; an empty list says that all is well."""
        raise NotImplementedError

    def list(self, scope: Scope) -> Sequence[Node]:
        """All nodes of a control plane that were seen within the purge delay."""
        raise NotImplementedError

    def get(self, scope: Scope, node_id: str) -> Node:
        """One node. Raises NotFound."""
        raise NotImplementedError

    def delete(self, scope: Scope, node_id: str) -> bool:
        """Forget a node; it may come back. False where there was none."""
        raise NotImplementedError

    def expected_hash(self, scope: Scope) -> ExpectedHash:
        """The hash of the newest revision: it always covers every acknowledged write."""
        raise NotImplementedError

    def at_end_of_life(self, scope: Scope) -> Sequence[NodeAtEndOfLife]:
        """Nodes whose version is no longer looked after."""
        raise NotImplementedError


class Exports:
    """The configuration of a control plane as nodes are sent it."""

    def payload(self, control_plane_id: str, *, all_types: bool = False) -> Export:
        """The newest revision. `all_types` adds what a 3.9 oss node does not know."""
        raise NotImplementedError


class History:
    """Who changed what, newest first."""

    def list(
        self, scope: Scope, *, size: int = 100, before: int | None = None, entity_id: str | None = None
    ) -> Sequence[Change]:
        """Changes below revision `before`."""
        raise NotImplementedError


class Control:
    """Every use case of the platform, over one data directory."""

    settings: ControlSettings
    versions: Versions
    changes: Changes
    control_planes: ControlPlanes
    nodes: Nodes
    certificates: NodeCertificates
    tokens: Tokens
    organizations: Organizations
    users: Users
    export: Exports
    history: History

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        settings: ControlSettings | None = None,
        config_hash: Callable[[Mapping[str, Any]], str],
        clock: Callable[[], float] = time.time,
    ) -> Control:
        """Open or make the store in `directory`. Raises StoreTooNew, StoreUnreadable.

        `config_hash` is the link's hash of a config table (`hybrid.wire`), handed in because it lives above.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Read and write the store. Raises StoreError where either fails."""
        raise NotImplementedError

    def tidy_up(self) -> None:
        """Forget what has expired: credentials past their ttl, nodes long silent. Call it about once a minute."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the store."""
        raise NotImplementedError
