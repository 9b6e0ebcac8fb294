"""Compatibility issues as they stand on a node: one form for all, with a stable code and where to read on. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from twinplane.control import NodeIssue
from twinplane.hybrid.strict_json import said_text

DOCS_PAGE: Final = "docs/reference/compatibility.md"
LOST: Final = "warning"
WITHHELD: Final = "error"
UPGRADE: Final = "upgrade the node, or take it out of the configuration"
_RESOURCES_MAX: Final = 1000
_MESSAGE_MAX: Final = 1200

PLUGIN_MISSING: Final = "plugin_missing"
PLUGIN_VERSION: Final = "plugin_version"
FILTER_MISSING: Final = "filter_missing"
EXPRESSIONS_MIXED: Final = "expressions_mixed"
VERSION_REFUSED: Final = "version_refused"
PAYLOAD_TOO_LARGE: Final = "payload_too_large"
CONFIG_REFUSED: Final = "config_refused"

NODE_CODES: Final[Mapping[str, tuple[str, str]]] = {
    PLUGIN_MISSING: (
        "A configured plugin is not installed on the node, which keeps its configuration.",
        "install the plugin on the node, or take it out of the configuration",
    ),
    PLUGIN_VERSION: (
        "The node runs another major version of a configured plugin, or a newer one, and keeps its configuration.",
        "install a version of the plugin that the control plane knows",
    ),
    FILTER_MISSING: (
        "A configured filter is not installed on the node, which keeps its configuration.",
        "install the filter on the node, or take it out of the configuration",
    ),
    EXPRESSIONS_MIXED: (
        "Routes with and without expressions stand side by side, which nodes before 3.7 do not take.",
        "upgrade the node, or write all routes in one form",
    ),
    VERSION_REFUSED: (
        "The node is of another major version than the control plane, or newer.",
        "run a node of the control plane's version or older",
    ),
    PAYLOAD_TOO_LARGE: (
        "The compressed configuration is larger than what may be sent.",
        "raise cluster_max_payload on the control plane and its nodes",
    ),
    CONFIG_REFUSED: ("The node refused what it was sent and keeps its configuration.", "see the description"),
}
"""Issues that are about the node as a whole: what each means, and what to do."""


def anchor(code: str) -> str:
    """Where a code stands on the page."""
    return re.sub(r"[^0-9a-z]+", "-", code.lower()).strip("-")


def unknown_code(owner: str, path: str) -> str:
    """The code of a field that a node does not know; `owner` is a collection or a plugin."""
    return f"field_unknown:{owner}.{path}"


def issue(
    code: str,
    description: str,
    *,
    severity: str = LOST,
    resolution: str = UPGRADE,
    resources: Sequence[Mapping[str, Any]] = (),
) -> NodeIssue:
    """An issue that leads to its place on the page."""
    return NodeIssue(
        code=code,
        severity=severity,
        description=description,
        resolution=resolution,
        documentation_url=f"{DOCS_PAGE}#{anchor(code)}",
        affected_resources=list(resources)[:_RESOURCES_MAX],
    )


def node_issue(code: str, description: str, resources: Sequence[Mapping[str, Any]] = ()) -> NodeIssue:
    """An issue about the node as a whole: nothing new reaches it until it is mended."""
    return issue(code, description, severity=WITHHELD, resolution=NODE_CODES[code][1], resources=resources)


def merged(issues: Sequence[NodeIssue]) -> Iterator[NodeIssue]:
    """One issue for each kind, with all that it is about."""
    by_kind: dict[tuple[str, str], list[NodeIssue]] = {}
    for one in issues:
        by_kind.setdefault((one.code, one.description), []).append(one)
    for same in by_kind.values():
        first = same[0]
        resources = [resource for one in same for resource in one.affected_resources]
        yield NodeIssue(
            first.code,
            first.severity,
            first.description,
            first.resolution,
            first.documentation_url,
            resources[:_RESOURCES_MAX],
        )


def refusal_issues(message: str, flattened: Sequence[Any]) -> tuple[NodeIssue, ...]:
    """What a node that refused a configuration says is wrong with it; its message where it names nothing."""
    issues = []
    for fault in flattened[:100]:
        if not isinstance(fault, dict):
            continue
        kind = _text(fault.get("entity_type")) or "entity"
        resources = [{"id": _text(fault["entity_id"]), "type": kind}] if fault.get("entity_id") else []
        errors = fault.get("errors")
        for error in errors[:20] if isinstance(errors, list) else ():
            if isinstance(error, dict):
                field = _text(error.get("field"))
                place = f"{kind}.{field}" if field else kind
                issues.append(node_issue(CONFIG_REFUSED, f"{place}: {_text(error.get('message'))}", resources))
    return tuple(merged(issues)) or (node_issue(CONFIG_REFUSED, said_text(message, _MESSAGE_MAX)),)


def _text(value: object) -> str:
    return said_text(value, 200)
