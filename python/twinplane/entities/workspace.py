"""Workspaces, and the tables a node keeps beside the configuration: parameters, tags, its nodes."""

from typing import Annotated, Literal

from twinplane.schema import Automatic, Entity, Length, MatchAny, MatchNone, Record, Timestamp, Unique, Uuid, not_in
from twinplane.schema.shared import AutoId, CreatedAt, Host, Ip, Name, SetOf, UpdatedAt

_RESERVED = (
    *(
        "workspaces",
        "consumers",
        "certificates",
        "services",
        "routes",
        "snis",
        "upstreams",
        "targets",
        "plugins",
        "tags",
    ),
    *("ca_certificates", "clustering_data_planes", "parameters", "vaults", "key_sets", "keys", "filter_chains"),
)


class Meta(Record):
    """Facts about a workspace; none are kept."""


class Workspace(Entity, collection="workspaces", endpoint_key="name", workspaced=False):
    """A room of its own for entities; names are unique within it."""

    id: AutoId = None
    name: Annotated[Name, Unique(), not_in(*_RESERVED), "Name of the workspace."]
    comment: Annotated[str | None, "What the workspace is for."] = None
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None
    meta: Annotated[Meta, "Facts about the workspace."]
    config: Annotated[Meta, "Settings of the workspace."]


class Parameter(Entity, collection="parameters", endpoint_key="key", workspaced=False):
    """A value that belongs to the whole cluster."""

    created_at: CreatedAt = None
    key: Annotated[str, Unique(), "Name of the value."]
    value: Annotated[str, "The value."]


class TagUse(Entity, collection="tags", endpoint_key="tag", workspaced=False, read_only=True):
    """A view: which rows carry a tag."""

    tag: Annotated[str, "The tag."]
    entity_name: Annotated[str, "Collection of the row."]
    entity_id: Annotated[str, Automatic(), Uuid(), "Id of the row."]


class CertificateDetails(Record):
    """What is known of the certificate a node shows."""

    expiry_timestamp: Annotated[float | None, Timestamp(), "When it expires, in seconds since 1970."] = None


class ClusteringDataPlane(Entity, collection="clustering_data_planes", workspaced=False, ttl=True, read_only=True):
    """A view: a data plane node as its control plane sees it."""

    id: Annotated[str, Automatic(), Uuid(), "Id of the node."]
    last_seen: Annotated[
        int | None, Automatic(), Timestamp(), "When the node was last heard, in seconds since 1970."
    ] = None
    updated_at: UpdatedAt = None
    ip: Annotated[Ip, "Address of the node."]
    config_hash: Annotated[str | None, Length(exactly=32), "Hash of the configuration it runs."] = None
    hostname: Annotated[Host, "Host name of the node."]
    version: Annotated[
        str | None,
        MatchNone("%.%.", "must not have empty version segments"),
        MatchAny(("^%d+[%.%d]*$", "^%d+[%.%d]*%-?.*$"), "invalid version number: must be in format of X.Y.Z"),
        "Version of the node.",
    ] = None
    sync_status: Annotated[
        Literal[
            "unknown",
            "normal",
            "kong_version_incompatible",
            "plugin_set_incompatible",
            "plugin_version_incompatible",
            "filter_set_incompatible",
        ],
        "Whether the node can take the configuration.",
    ] = "unknown"
    labels: Annotated[dict[str, str] | None, "Labels the node was given."] = None
    cert_details: Annotated[CertificateDetails, "What is known of its certificate."]
    rpc_capabilities: Annotated[SetOf[str] | None, "Calls the node understands."] = None
