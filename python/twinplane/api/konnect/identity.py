"""Who asks: the organization and the person behind a token."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends

from twinplane.api.konnect.context import Context, read_context
from twinplane.api.konnect.models import Organization, User, rfc3339

router = APIRouter(tags=["identity"])

Asked = Annotated[Context, Depends(read_context)]

_RETENTION_DAYS: Final = 90


@router.get("/v2/organizations/me")
@router.get("/v3/organizations/me")
async def get_organization(context: Asked) -> Organization:
    """The asker's organization."""
    found = await context.run(context.control.organizations.get, context.organization_id)
    return Organization(
        id=found.id,
        name=found.name,
        owner_id=context.asker.principal.user_id,
        login_path="",
        state=found.state,
        retention_period_days=_RETENTION_DAYS,
        created_at=rfc3339(found.created_at),
        updated_at=rfc3339(found.updated_at),
    )


@router.get("/v2/users/me")
@router.get("/v3/users/me")
async def get_user(context: Asked) -> User:
    """The person whose token it is."""
    found = await context.run(context.control.users.get, context.organization_id, context.asker.principal.user_id)
    return User(
        id=found.id,
        email=found.email,
        full_name=found.full_name,
        preferred_name=found.preferred_name,
        active=found.active,
        inferred_region=context.home_region,
        created_at=rfc3339(found.created_at),
        updated_at=rfc3339(found.updated_at),
    )
