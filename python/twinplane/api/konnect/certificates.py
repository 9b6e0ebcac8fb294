"""Certificates that let nodes in (`dp-client-certificates`)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from twinplane.api.konnect.context import Context, read_context
from twinplane.api.konnect.errors import Problem
from twinplane.api.konnect.models import (
    Certificate,
    CertificateItem,
    CertificateItems,
    CountedPage,
    PutCertificate,
)
from twinplane.api.konnect.queries import cursor_page

router = APIRouter(
    prefix="/v2/control-planes/{control_plane_id}/dp-client-certificates", tags=["dp-client-certificates"]
)

Asked = Annotated[Context, Depends(read_context)]


@router.get("")
async def list_certificates(context: Asked, control_plane_id: str) -> CertificateItems:
    """All certificates of a control plane, oldest first."""
    plane = await context.control_plane(control_plane_id)
    found = await context.run(context.control.certificates.list, plane.scope)
    part, page = cursor_page(found, [certificate.id for certificate in found], context.query, path=context.path)
    return CertificateItems(items=[Certificate.of(one) for one in part], page=CountedPage(**page))


@router.post("", status_code=201)
async def create_certificate(context: Asked, control_plane_id: str, body: PutCertificate) -> CertificateItem:
    """Let nodes with this certificate in."""
    plane = await context.control_plane(control_plane_id)
    create, actor = context.control.certificates.create, context.asker.principal.actor
    made = await context.run(create, plane.scope, actor, body.cert, title=body.title or "")
    return CertificateItem(item=Certificate.of(made))


@router.get("/{certificate_id}")
async def get_certificate(context: Asked, control_plane_id: str, certificate_id: str) -> CertificateItem:
    """One certificate."""
    plane = await context.control_plane(control_plane_id)
    found = await context.run(context.control.certificates.get, plane.scope, certificate_id)
    return CertificateItem(item=Certificate.of(found))


@router.put("/{certificate_id}")
async def put_certificate(
    context: Asked, control_plane_id: str, certificate_id: str, body: PutCertificate
) -> CertificateItem:
    """Replace a certificate."""
    plane = await context.control_plane(control_plane_id)
    replace, actor = context.control.certificates.replace, context.asker.principal.actor
    made = await context.run(replace, plane.scope, actor, certificate_id, body.cert, title=body.title or "")
    return CertificateItem(item=Certificate.of(made))


@router.delete("/{certificate_id}", status_code=204)
async def delete_certificate(context: Asked, control_plane_id: str, certificate_id: str) -> Response:
    """Shut nodes with this certificate out; live sessions end."""
    plane = await context.control_plane(control_plane_id)
    delete, actor = context.control.certificates.delete, context.asker.principal.actor
    if not await context.run(delete, plane.scope, actor, certificate_id):
        raise Problem(404, f"Data plane client certificate [{certificate_id}] was not found")
    return Response(status_code=204)
