"""Konnect resources as requests and answers carry them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from twinplane import control

ClusterType = Literal[
    "CLUSTER_TYPE_CONTROL_PLANE",
    "CLUSTER_TYPE_K8S_INGRESS_CONTROLLER",
    "CLUSTER_TYPE_CONTROL_PLANE_GROUP",
    "CLUSTER_TYPE_SERVERLESS",
    "CLUSTER_TYPE_SERVERLESS_V1",
    "CLUSTER_TYPE_KAFKA_NATIVE_EVENT_PROXY",
]
AuthType = Literal["pinned_client_certs", "pki_client_certs"]
Name = Annotated[str, StringConstraints(min_length=2, max_length=256)]
Description = Annotated[str, StringConstraints(max_length=2048)]


def rfc3339(seconds: float) -> str:
    """A moment as Konnect writes it: UTC with milliseconds."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Closed(BaseModel):
    """A request body: unknown members are refused, types are not bent."""

    model_config = ConfigDict(extra="forbid", strict=True)

    def given(self) -> dict[str, Any]:
        """The members that were sent with a value; an explicit null counts as left out."""
        sent = self.model_dump(exclude_unset=True)
        return {name: value for name, value in sent.items() if value is not None}


class ProxyUrl(Closed):
    """Where a data plane of this control plane is reached."""

    host: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    port: Annotated[int, Field(ge=1, le=65535)]
    protocol: Annotated[str, StringConstraints(min_length=1, max_length=32)]


class CreateControlPlane(Closed):
    """POST /v2/control-planes."""

    name: Name
    description: Description | None = None
    cluster_type: ClusterType | None = None
    auth_type: AuthType | None = None
    cloud_gateway: bool | None = None
    proxy_urls: Annotated[list[ProxyUrl], Field(max_length=5)] | None = None
    labels: dict[str, str] | None = None


class UpdateControlPlane(Closed):
    """PATCH /v2/control-planes/{id}. A label set to null goes."""

    name: Name | None = None
    description: Description | None = None
    auth_type: AuthType | None = None
    proxy_urls: Annotated[list[ProxyUrl], Field(max_length=5)] | None = None
    labels: dict[str, str | None] | None = None


class ControlPlaneConfig(BaseModel):
    """How nodes reach a control plane."""

    control_plane_endpoint: str
    telemetry_endpoint: str
    cluster_type: ClusterType
    auth_type: AuthType
    cloud_gateway: bool
    proxy_urls: list[ProxyUrl]


class ControlPlane(BaseModel):
    """A control plane."""

    id: str
    name: str
    description: str
    labels: dict[str, str]
    config: ControlPlaneConfig
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, plane: control.ControlPlane) -> ControlPlane:
        """The answer about a control plane."""
        return cls(
            id=plane.id,
            name=plane.name,
            description=plane.description,
            labels=dict(plane.labels),
            config=ControlPlaneConfig(
                control_plane_endpoint=plane.control_plane_endpoint,
                telemetry_endpoint=plane.telemetry_endpoint,
                cluster_type=plane.cluster_type,
                auth_type=plane.auth_type,
                cloud_gateway=plane.cloud_gateway,
                proxy_urls=[ProxyUrl.model_validate(dict(url)) for url in plane.proxy_urls],
            ),
            created_at=rfc3339(plane.created_at),
            updated_at=rfc3339(plane.updated_at),
        )


class NumberPage(BaseModel):
    """Which page this is, and how many there are of all."""

    number: int
    size: int
    total: int


class NumberMeta(BaseModel):
    """About the page."""

    page: NumberPage


class ControlPlanes(BaseModel):
    """A page of control planes."""

    meta: NumberMeta
    data: list[ControlPlane]


class PutCertificate(Closed):
    """POST and PUT of a data plane client certificate."""

    cert: Annotated[str, StringConstraints(min_length=1, max_length=65536)]
    title: Annotated[str, StringConstraints(max_length=256)] | None = None


class Certificate(BaseModel):
    """A certificate that lets nodes in."""

    id: str
    cert: str
    title: str
    created_at: int
    updated_at: int

    @classmethod
    def of(cls, certificate: control.NodeCertificate) -> Certificate:
        """The answer about a certificate."""
        return cls(
            id=certificate.id,
            cert=certificate.cert,
            title=certificate.title,
            created_at=int(certificate.created_at),
            updated_at=int(certificate.updated_at),
        )


class CertificateItem(BaseModel):
    """One certificate."""

    item: Certificate


class CountedPage(BaseModel):
    """How many there are of all, and where to go on."""

    model_config = ConfigDict(extra="allow")

    total_count: int


class CertificateItems(BaseModel):
    """Certificates of a control plane."""

    items: list[Certificate]
    page: CountedPage


class Issue(BaseModel):
    """Something that a node cannot do as configured."""

    code: str
    severity: str
    description: str
    resolution: str
    documentation_url: str
    affected_resources: list[dict[str, Any]]


class CompatibilityStatus(BaseModel):
    """Whether a node can do all that is configured."""

    state: str
    issues: list[Issue] | None = None


class Node(BaseModel):
    """A data plane node."""

    id: str
    version: str
    hostname: str
    last_ping: int
    type: str
    created_at: int
    updated_at: int
    config_hash: str
    compatibility_status: CompatibilityStatus
    data_plane_cert_id: str | None = None
    labels: dict[str, str]

    @classmethod
    def of(cls, node: control.Node) -> Node:
        """The answer about a node."""
        issues = [
            Issue(
                code=issue.code,
                severity=issue.severity,
                description=issue.description,
                resolution=issue.resolution,
                documentation_url=issue.documentation_url,
                affected_resources=[dict(resource) for resource in issue.affected_resources],
            )
            for issue in node.issues
        ]
        return cls(
            id=node.id,
            version=node.version,
            hostname=node.hostname,
            last_ping=int(node.last_ping),
            type=node.type,
            created_at=int(node.created_at),
            updated_at=int(node.updated_at),
            config_hash=node.config_hash,
            compatibility_status=CompatibilityStatus(state=node.compatibility_state, issues=issues or None),
            data_plane_cert_id=node.certificate_id,
            labels=dict(node.labels),
        )


class NodeItem(BaseModel):
    """One node."""

    item: Node


class NodeItems(BaseModel):
    """Nodes of a control plane."""

    items: list[Node]
    page: CountedPage


class NodeAtEndOfLife(BaseModel):
    """A node whose version is no longer looked after."""

    node_id: str
    node_version: str
    message: str


class NodesAtEndOfLife(BaseModel):
    """Such nodes of a control plane."""

    items: list[NodeAtEndOfLife]
    page: CountedPage


class ExpectedConfigHash(BaseModel):
    """The hash that every node should report."""

    expected_hash: str
    created_at: int
    updated_at: int


class ExpectedConfigVersion(BaseModel):
    """The revision that every node should report."""

    expected_config_version: str
    created_at: int


class Organization(BaseModel):
    """The asker's organization."""

    id: str
    name: str
    owner_id: str
    login_path: str
    state: str
    retention_period_days: int
    created_at: str
    updated_at: str


class User(BaseModel):
    """A person."""

    id: str
    email: str
    full_name: str
    preferred_name: str
    active: bool
    inferred_region: str
    created_at: str
    updated_at: str


class LegacyControlPlane(BaseModel):
    """A control plane as decK looks it up."""

    id: str
    name: str
    description: str
    labels: Mapping[str, str]


class LegacyControlPlanes(BaseModel):
    """A page of them."""

    data: list[LegacyControlPlane]
    page: int
    pageCount: int  # noqa: N815 (the client's word)
