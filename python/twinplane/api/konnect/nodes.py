"""Data plane nodes of a control plane, and the configuration they should run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from twinplane.api.konnect.context import Context, read_context
from twinplane.api.konnect.errors import Problem
from twinplane.api.konnect.models import (
    CountedPage,
    ExpectedConfigHash,
    ExpectedConfigVersion,
    Node,
    NodeAtEndOfLife,
    NodeItem,
    NodeItems,
    NodesAtEndOfLife,
)
from twinplane.api.konnect.queries import cursor_page

router = APIRouter(prefix="/v2/control-planes/{control_plane_id}", tags=["nodes"])

Asked = Annotated[Context, Depends(read_context)]


@router.get("/nodes")
async def list_nodes(context: Asked, control_plane_id: str) -> NodeItems:
    """One page of nodes."""
    plane = await context.control_plane(control_plane_id)
    nodes = sorted(await context.run(context.control.nodes.list, plane.scope), key=lambda node: node.id)
    part, page = cursor_page(nodes, [node.id for node in nodes], context.query, path=context.path)
    return NodeItems(items=[Node.of(node) for node in part], page=CountedPage(**page))


@router.get("/nodes/eol")
async def list_nodes_at_end_of_life(context: Asked, control_plane_id: str) -> NodesAtEndOfLife:
    """Nodes whose version is no longer looked after."""
    plane = await context.control_plane(control_plane_id)
    nodes = await context.run(context.control.nodes.at_end_of_life, plane.scope)
    part, page = cursor_page(nodes, [node.node_id for node in nodes], context.query, path=context.path)
    items = [
        NodeAtEndOfLife(node_id=node.node_id, node_version=node.node_version, message=node.message) for node in part
    ]
    return NodesAtEndOfLife(items=items, page=CountedPage(**page))


@router.get("/nodes/{node_id}")
async def get_node(context: Asked, control_plane_id: str, node_id: str) -> NodeItem:
    """One node."""
    plane = await context.control_plane(control_plane_id)
    return NodeItem(item=Node.of(await context.run(context.control.nodes.get, plane.scope, node_id)))


@router.delete("/nodes/{node_id}", status_code=204)
async def delete_node(context: Asked, control_plane_id: str, node_id: str) -> Response:
    """Forget a node; it may come back."""
    plane = await context.control_plane(control_plane_id)
    if not await context.run(context.control.nodes.delete, plane.scope, node_id):
        raise Problem(404, f"Node [{node_id}] was not found")
    return Response(status_code=204)


@router.get("/expected-config-hash")
async def get_expected_config_hash(context: Asked, control_plane_id: str) -> ExpectedConfigHash:
    """The hash of the newest configuration."""
    plane = await context.control_plane(control_plane_id)
    expected = await context.run(context.control.nodes.expected_hash, plane.scope)
    return ExpectedConfigHash(
        expected_hash=expected.hash, created_at=int(expected.created_at), updated_at=int(expected.updated_at)
    )


@router.get("/expected-config-version")
async def get_expected_config_version(context: Asked, control_plane_id: str) -> ExpectedConfigVersion:
    """The revision of the newest configuration."""
    plane = await context.control_plane(control_plane_id)
    expected = await context.run(context.control.nodes.expected_hash, plane.scope)
    return ExpectedConfigVersion(expected_config_version=str(plane.revision), created_at=int(expected.updated_at))
