"""Nodes that an ingress controller reports: itself, and the gateways that it configures.

They stand among the nodes of their control plane. Every violation of a report is told at once.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from twinplane.control.errors import InvalidParameter, InvalidParameters, LimitExceeded, NameTaken, NotFound
from twinplane.control.nodes import Nodes
from twinplane.control.records import Node
from twinplane.control.scope import Scope
from twinplane.control.settings import ControlSettings
from twinplane.store.sql import Database, NodeRow, Realm

NODE_TYPES: Final = ("ingress-controller", "kong-proxy")
COMPATIBILITY_STATES: Final = tuple(
    f"COMPATIBILITY_STATE_{name}" for name in ("UNSPECIFIED", "FULLY_COMPATIBLE", "INCOMPATIBLE", "UNKNOWN")
)
_OPERATING: Final = ("OPERATIONAL", "PARTIAL_CONFIG_FAIL", "INOPERABLE")
STATES: Final = tuple(
    f"INGRESS_CONTROLLER_STATE_{name}"
    for name in ("UNSPECIFIED", *_OPERATING, *(f"{one}_KONNECT_OUT_OF_SYNC" for one in _OPERATING), "UNKNOWN")
)
# What a controller's clock says of a report is believed within this; beyond, the time of its arrival counts.
CLOCK_TRUST_S: Final = 300.0

_HOSTNAME_MAX: Final = 520
_TEXT_MAX: Final = 255
_ISSUE_TEXT_MAX: Final = 4096
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Violations = list[InvalidParameter]


class IngressNodes:
    """Nodes of control planes of ingress controllers."""

    def __init__(self, database: Database, nodes: Nodes, settings: ControlSettings, clock: Callable[[], float]) -> None:
        self._database = database
        self._nodes = nodes
        self._settings = settings
        self._clock = clock

    def create(self, scope: Scope, body: Mapping[str, Any], *, certificate_id: str | None) -> Node:
        """A node that is new. Raises InvalidParameters, NameTaken, LimitExceeded."""
        wrong: Violations = []
        node_id = _id(body, wrong)
        now = self._clock()
        said = self._said(body, wrong, now)
        if wrong:
            raise InvalidParameters(wrong)
        realm = Realm(scope.organization_id, scope.control_plane_id)
        with self._database.writing() as tx:
            if tx.nodes.get(realm, node_id) is not None:
                raise NameTaken("nodes", "id", node_id)
            if len(tx.nodes.list(realm, since=0, limit=self._settings.nodes_max)) >= self._settings.nodes_max:
                raise LimitExceeded("nodes of a control plane", self._settings.nodes_max)
            tx.nodes.add(
                NodeRow(
                    organization_id=scope.organization_id,
                    control_plane_id=scope.control_plane_id,
                    id=node_id,
                    ip="",
                    labels="{}",
                    revision=None,
                    epoch=None,
                    certificate_id=certificate_id,
                    certificate_expires_at=None,
                    created_at=now,
                    **said,
                )
            )
        return self._nodes.get(scope, node_id)

    def update(self, scope: Scope, node_id: str, body: Mapping[str, Any], *, certificate_id: str | None) -> Node:
        """Replace what is known of a node. Raises InvalidParameters, NotFound."""
        wrong: Violations = []
        said = self._said(body, wrong, self._clock())
        if body.get("id") not in (None, "", node_id):
            wrong.append(InvalidParameter("id", "invalid", "is not the node that the path names"))
        if wrong:
            raise InvalidParameters(wrong)
        realm = Realm(scope.organization_id, scope.control_plane_id)
        with self._database.writing() as tx:
            if not tx.nodes.update(realm, node_id, {**said, "certificate_id": certificate_id}):
                raise NotFound("nodes", {"id": node_id})
        return self._nodes.get(scope, node_id)

    def _said(self, body: Mapping[str, Any], wrong: Violations, now: float) -> dict[str, Any]:
        """The columns that a report sets."""
        hostname = _text(body, "hostname", _HOSTNAME_MAX, wrong, required=True)
        kind = _choice(body, "type", NODE_TYPES, wrong, required=True)
        compatibility, issues = _compatibility(body, self._settings.node_issues_max, wrong)
        return {
            "hostname": hostname,
            "type": kind,
            "version": _text(body, "version", _TEXT_MAX, wrong),
            "config_hash": _text(body, "config_hash", _TEXT_MAX, wrong),
            "sync_status": _choice(body, "status", STATES, wrong),
            "told_compatibility": compatibility,
            "issues": issues,
            "last_ping": _moment(body, now, wrong),
            "updated_at": now,
        }


def _id(body: Mapping[str, Any], wrong: Violations) -> str:
    given = body.get("id")
    if given in (None, ""):
        return str(uuid.uuid4())
    if not isinstance(given, str) or not _UUID.fullmatch(given):
        wrong.append(InvalidParameter("id", "is_uuid", "must be a UUID"))
        return ""
    return given.lower()


def _text(body: Mapping[str, Any], name: str, length_max: int, wrong: Violations, *, required: bool = False) -> str:
    value = body.get(name)
    if value is None or (required and value == ""):
        if required:
            wrong.append(InvalidParameter(name, "required", "is a required field"))
        return ""
    if not isinstance(value, str):
        wrong.append(InvalidParameter(name, "is_string", "must be a string"))
        return ""
    if len(value) > length_max:
        reason = f"must not have more than {length_max} characters"
        wrong.append(InvalidParameter(name, "max_length", reason, extra={"maximum": length_max}))
    return value


def _choice(
    body: Mapping[str, Any], name: str, choices: Sequence[str], wrong: Violations, *, required: bool = False
) -> str:
    value = body.get(name)
    if value in (None, ""):
        if required:
            wrong.append(InvalidParameter(name, "required", "is a required field"))
        return ""
    if value not in choices:
        reason = f"must be one of {', '.join(choices)}"
        wrong.append(InvalidParameter(name, "enum", reason, extra={"choices": list(choices)}))
        return ""
    return str(value)


def _moment(body: Mapping[str, Any], now: float, wrong: Violations) -> float:
    value = body.get("last_ping")
    if value is None:
        return now
    # Clients of generated code send 64-bit numbers as texts.
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        wrong.append(InvalidParameter("last_ping", "is_integer", "must be a Unix time in whole seconds"))
        return now
    return float(value) if now - CLOCK_TRUST_S <= value <= now else now


def _compatibility(body: Mapping[str, Any], issues_max: int, wrong: Violations) -> tuple[str | None, str | None]:
    """State and issues as they are stored."""
    told = body.get("compatibility_status")
    if told is None:
        return None, None
    if not isinstance(told, Mapping):
        wrong.append(InvalidParameter("compatibility_status", "is_object", "must be an object"))
        return None, None
    inner: Violations = []
    state = _choice(told, "state", COMPATIBILITY_STATES, inner)
    listed = told.get("issues") or []
    issues = []
    if not isinstance(listed, list):
        inner.append(InvalidParameter("issues", "is_array", "must be an array"))
    elif len(listed) > issues_max:
        reason = f"must not have more than {issues_max} items"
        inner.append(InvalidParameter("issues", "max_items", reason, extra={"maximum": issues_max}))
    else:
        issues = [_issue(f"issues.{at}", each, inner) for at, each in enumerate(listed)]
    for each in inner:
        name = f"compatibility_status.{each.field}"
        wrong.append(InvalidParameter(name, each.rule, each.reason, extra=each.extra))
    return state or None, orjson.dumps(issues, option=orjson.OPT_SORT_KEYS).decode() if issues else None


def _issue(at: str, told: Any, wrong: Violations) -> dict[str, Any]:
    if not isinstance(told, Mapping):
        wrong.append(InvalidParameter(at, "is_object", "must be an object"))
        return {}
    inner: Violations = []
    names = ("code", "severity", "description", "resolution", "documentation_url")
    issue: dict[str, Any] = {name: _text(told, name, _ISSUE_TEXT_MAX, inner) for name in names}
    wrong += [InvalidParameter(f"{at}.{each.field}", each.rule, each.reason, extra=each.extra) for each in inner]
    resources = told.get("affected_resources") or []
    if not isinstance(resources, list) or not all(isinstance(each, Mapping) for each in resources):
        wrong.append(InvalidParameter(f"{at}.affected_resources", "is_array", "must be an array of objects"))
        resources = []
    issue["affected_resources"] = [
        {name: str(each[name])[:_TEXT_MAX] for name in ("id", "type") if name in each} for each in resources[:1000]
    ]
    return issue
