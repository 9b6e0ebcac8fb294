"""`/v2/control-planes`: create, read, change, delete, list by filter, label and page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from twinplane.api.konnect.context import Context, read_context
from twinplane.api.konnect.models import (
    ControlPlane,
    ControlPlanes,
    CreateControlPlane,
    NumberMeta,
    NumberPage,
    UpdateControlPlane,
)
from twinplane.api.konnect.queries import read_filters, read_number_page

router = APIRouter(tags=["control-planes"])

Asked = Annotated[Context, Depends(read_context)]


@router.get("/v2/control-planes")
async def list_control_planes(context: Asked) -> ControlPlanes:
    """One page."""
    number, size = read_number_page(context.query)
    page = await context.run(
        context.control.control_planes.list,
        context.organization_id,
        context.region,
        number=number,
        size=size,
        filters=read_filters(context.query) or None,
        labels=context.query.first("labels") or None,
        sort=context.query.first("sort") or None,
    )
    meta = NumberMeta(page=NumberPage(number=page.number, size=page.size, total=page.total))
    return ControlPlanes(meta=meta, data=[ControlPlane.of(plane) for plane in page.rows])


@router.post("/v2/control-planes", status_code=201)
async def create_control_plane(context: Asked, body: CreateControlPlane) -> ControlPlane:
    """A new control plane."""
    create = context.control.control_planes.create
    actor = context.asker.principal.actor
    return ControlPlane.of(await context.run(create, context.organization_id, context.region, actor, body.given()))


@router.get("/v2/control-planes/{control_plane_id}")
async def get_control_plane(context: Asked, control_plane_id: str) -> ControlPlane:
    """One control plane."""
    return ControlPlane.of(await context.control_plane(control_plane_id))


@router.patch("/v2/control-planes/{control_plane_id}")
async def update_control_plane(context: Asked, control_plane_id: str, body: UpdateControlPlane) -> ControlPlane:
    """Change what is given."""
    update = context.control.control_planes.update
    actor = context.asker.principal.actor
    plane = await context.run(update, context.organization_id, context.region, actor, control_plane_id, body.given())
    return ControlPlane.of(plane)


@router.delete("/v2/control-planes/{control_plane_id}", status_code=204)
async def delete_control_plane(context: Asked, control_plane_id: str) -> Response:
    """Delete a control plane with all it holds."""
    delete = context.control.control_planes.delete
    actor = context.asker.principal.actor
    await context.run(delete, context.organization_id, context.region, actor, control_plane_id)
    return Response(status_code=204)
