"""What an older node receives, and whether it can be sent anything: a table of fields by version, and a few rewrites.

Lowering drops what a version does not know and says so on the node, but only where the value would have mattered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twinplane.control import NodeIssue
from twinplane.hybrid.compat_issues import issue, merged, unknown_code
from twinplane.hybrid.compat_rules import ENTITY_FIELDS, PLUGIN_FIELDS, REWRITES, FieldRule
from twinplane.hybrid.compat_schema import SchemaRule, entity_rules, plugin_rules
from twinplane.hybrid.wire import NodeVersion
from twinplane.registry import entity_types

CONTROL_PLANE_VERSION = NodeVersion(3, 15, 0)
"""The newest gateway version whose fields this control plane knows. Newer nodes are refused."""

UNKNOWN = "unknown"
NORMAL = "normal"
VERSION_INCOMPATIBLE = "kong_version_incompatible"

_ABSENT = object()


def is_version_served(version: NodeVersion | None) -> bool:
    """Whether a node of that version may connect: the same major, and not newer than the control plane."""
    return version is not None and (
        version.major == CONTROL_PLANE_VERSION.major and version.minor <= CONTROL_PLANE_VERSION.minor
    )


def lower_table(table: dict[str, Any], version: NodeVersion) -> list[NodeIssue]:
    """Change a decoded table into one that a node of that version takes. The answer is what it loses by that."""
    issues: list[NodeIssue] = []
    for collection in [name for name in table if not _is_known(name, version)]:
        del table[collection]
    for rewrite in REWRITES:
        if version.number < rewrite.before:
            issues += [_issue(rewrite.code, rewrite.text, kind, row) for kind, row in rewrite.apply(table)]
    for plugin in table.get("plugins") or ():
        issues += _lower_config(plugin, version)
    for collection in {*ENTITY_FIELDS, *entity_rules()} & table.keys():
        for row in table[collection] or ():
            issues += _lower_row(collection, row, version)
    return list(merged(issues))


def _is_known(collection: str, version: NodeVersion) -> bool:
    """Whether nodes of that edition know the collection: an unknown one would cost them the whole payload."""
    known = entity_types().get(collection)
    return known is None or known.edition == "oss" or version.is_enterprise


def _lower_config(plugin: dict[str, Any], version: NodeVersion) -> Iterator[NodeIssue]:
    name, config = str(plugin.get("name")), plugin.get("config") or {}
    for rule in PLUGIN_FIELDS.get(name, ()):
        if version.number < rule.before and _remove(config, rule):
            text = f"the field {rule.path} of the plugin {name} is not known before {rule.since}"
            yield _issue(rule.code, text, "plugin", plugin)
    for known in plugin_rules().get(name, ()):
        if not known.is_known(version) and _remove_at(config, known.path, known.default):
            yield _unknown(name, f"the plugin {name}", known, "plugin", plugin)


def _lower_row(collection: str, row: dict[str, Any], version: NodeVersion) -> Iterator[NodeIssue]:
    kind = collection.removesuffix("s")
    for rule in ENTITY_FIELDS.get(collection, ()):
        if version.number < rule.before and _remove(row, rule):
            text = f"the field {rule.path} of {collection} is not known before {rule.since}"
            yield _issue(rule.code, text, kind, row)
    for known in entity_rules().get(collection, ()):
        if not known.is_known(version) and _remove_at(row, known.path, known.default):
            yield _unknown(collection, collection, known, kind, row)


def _remove(record: dict[str, Any], rule: FieldRule) -> bool:
    """Remove a field. True where that changes what the node does: its value was another than the default."""
    return _remove_at(record, tuple(rule.path.split(".")), rule.default) and not rule.is_silent


def _remove_at(record: Any, path: tuple[str, ...], default: Any) -> bool:
    if isinstance(record, list):
        # Each element loses the field: no stopping at the first.
        return True in [_remove_at(element, path, default) for element in record]
    if not isinstance(record, dict):
        return False
    if len(path) > 1:
        return _remove_at(record.get(path[0]), path[1:], default)
    value = record.pop(path[0], _ABSENT)
    return value is not _ABSENT and _stripped(value) not in (None, _stripped(default))


def _stripped(value: Any) -> Any:
    """A value without what is unset in it; None where nothing is left: what is filled in by itself never matters."""
    if isinstance(value, dict):
        return {name: kept for name, each in value.items() if (kept := _stripped(each)) is not None} or None
    return None if value == [] else value


def _unknown(owner: str, said: str, rule: SchemaRule, kind: str, row: Mapping[str, Any]) -> NodeIssue:
    path = ".".join(rule.path)
    why = f"is not known before {rule.since}" if rule.since else "is known to enterprise nodes only"
    return _issue(unknown_code(owner, path), f"the field {path} of {said} {why}", kind, row)


def _issue(code: str, text: str, kind: str, row: Mapping[str, Any]) -> NodeIssue:
    return issue(code, text, resources=[{"id": str(row.get("id", "")), "type": kind}])
