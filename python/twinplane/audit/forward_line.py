"""An audit record as a syslog line, for whoever collects the records of an installation. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import orjson

from twinplane import __version__
from twinplane.audit.cef import CefEvent
from twinplane.audit.line import NOTICE, WARNING, Draft
from twinplane.control.audit import AuditRecord

RECORD_ELEMENT = "record@32473"
_CEF_SEVERITY = {"success": 3, "failure": 6}

Form = Literal["rfc5424", "cef"]


def forwarded_line(record: AuditRecord, form: Form, *, hostname: str) -> bytes:
    """The line of a record. Its id and hash let the receiver see what is missing, twice there or changed."""
    severity = WARNING if record.result == "failure" else NOTICE
    detail = orjson.dumps(dict(record.detail), option=orjson.OPT_SORT_KEYS).decode()
    if form == "cef":
        product, level = "control-plane", _CEF_SEVERITY.get(record.result, 3)
        event = CefEvent(product, __version__, record.kind, record.kind, level, _extension(record, detail))
        return Draft(severity, record.at, hostname, "twinplane", "-", record.kind, (), event.encode()).encode()
    element = (RECORD_ELEMENT, _parameters(record))
    return Draft(severity, record.at, hostname, "twinplane", "-", record.kind, [element], detail).encode()


def _parameters(record: AuditRecord) -> Mapping[str, str]:
    actor = record.actor
    return _present(
        {
            "id": str(record.position),
            "result": record.result,
            "organization": record.organization_id,
            "control_plane": record.control_plane_id,
            "node": record.node_id,
            "certificate": record.certificate_id,
            "actor_kind": actor.kind if actor else None,
            "actor": actor.id if actor else None,
            "actor_name": actor.name if actor else None,
            "ip": record.client_ip,
            "request": record.request_id,
            "hash": record.hash,
        }
    )


def _extension(record: AuditRecord, detail: str) -> Mapping[str, str]:
    """The same in the names of CEF, as far as it has them."""
    actor = record.actor
    return _present(
        {
            "rt": str(int(record.at * 1000)),
            "externalId": str(record.position),
            "outcome": record.result,
            "src": record.client_ip,
            "suid": actor.id if actor else None,
            "suser": actor.name if actor else None,
            "cs1Label": "organization",
            "cs1": record.organization_id,
            "cs2Label": "controlPlane" if record.control_plane_id else None,
            "cs2": record.control_plane_id,
            "cs3Label": "node" if record.node_id else None,
            "cs3": record.node_id,
            "cs4Label": "request" if record.request_id else None,
            "cs4": record.request_id,
            "cs5Label": "hash",
            "cs5": record.hash,
            "msg": detail,
        }
    )


def _present(values: Mapping[str, str | None]) -> Mapping[str, str]:
    return {name: value for name, value in values.items() if value}
