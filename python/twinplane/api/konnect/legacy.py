"""`/konnect-api/api/runtime_groups`: how decK finds a control plane by its name."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter, Depends

from twinplane.api.core.numerals import parse_number
from twinplane.api.konnect.context import Context, read_context
from twinplane.api.konnect.models import LegacyControlPlane, LegacyControlPlanes
from twinplane.api.konnect.queries import PAGE_SIZE_MAX, read_filters

router = APIRouter(tags=["legacy"])

Asked = Annotated[Context, Depends(read_context)]


@router.get("/konnect-api/api/runtime_groups")
async def list_runtime_groups(context: Asked) -> LegacyControlPlanes:
    """One page of control planes, by number."""
    number = _whole(context.query.first("page"), 1, 2**31 - 1)
    size = _whole(context.query.first("size"), 100, PAGE_SIZE_MAX)
    page = await context.run(
        context.control.control_planes.list,
        context.organization_id,
        context.region,
        number=number,
        size=size,
        filters=read_filters(context.query) or None,
    )
    data = [
        LegacyControlPlane(id=plane.id, name=plane.name, description=plane.description, labels=dict(plane.labels))
        for plane in page.rows
    ]
    return LegacyControlPlanes(data=data, page=number, pageCount=max(1, math.ceil(page.total / size)))


def _whole(text: str | None, default: int, maximum: int) -> int:
    number = parse_number(text or "")
    return min(number, maximum) if isinstance(number, int) and number >= 1 else default
