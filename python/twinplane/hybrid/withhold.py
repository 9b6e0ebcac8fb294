"""Whether a node can be sent a configuration at all: its plugins, its filters and its router have to take it. Pure.

A node that cannot keeps its link and its configuration; the next push is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from twinplane.control import NodeIssue
from twinplane.hybrid.compat import CONTROL_PLANE_VERSION
from twinplane.hybrid.compat_issues import (
    EXPRESSIONS_MIXED,
    FILTER_MISSING,
    PLUGIN_MISSING,
    PLUGIN_VERSION,
    node_issue,
)
from twinplane.hybrid.wire import BasicInfo, NodeVersion, parse_version

PLUGIN_SET_INCOMPATIBLE: Final = "plugin_set_incompatible"
PLUGIN_VERSION_INCOMPATIBLE: Final = "plugin_version_incompatible"
FILTER_SET_INCOMPATIBLE: Final = "filter_set_incompatible"
_MIXES_SINCE: Final = NodeVersion(3, 7, 0)


@dataclass(frozen=True, slots=True)
class Uses:
    """What a configuration needs of a node: plugins and filters, each with the rows that use it."""

    plugins: Mapping[str, Sequence[str]] = field(default_factory=dict)
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mixes_expressions: bool = False


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why nothing is sent. Without a status the node's stays what it was."""

    status: str | None
    name: str
    issue: NodeIssue


def uses_of(table: Mapping[str, Any]) -> Uses:
    """What a decoded table needs."""
    plugins: dict[str, list[str]] = {}
    filters: dict[str, list[str]] = {}
    for row in table.get("plugins") or ():
        plugins.setdefault(row["name"], []).append(row.get("id", ""))
    for chain in table.get("filter_chains") or ():
        for each in chain.get("filters") or () if chain.get("enabled") is not False else ():
            if each.get("enabled") is not False:
                filters.setdefault(each["name"], []).append(chain.get("id", ""))
    forms = {bool(row.get("expression")) for row in table.get("routes") or ()}
    return Uses(plugins, filters, len(forms) > 1)


def why_withheld(uses: Uses, info: BasicInfo, version: NodeVersion) -> Withheld | None:
    """Why a node cannot be sent what needs this; None where it can."""
    if uses.mixes_expressions and version < _MIXES_SINCE:
        text = f"a node of version {version} takes routes with expressions, or without, but not both"
        return Withheld(None, "expression", node_issue(EXPRESSIONS_MIXED, text))
    for name in sorted(uses.plugins.keys() - info.plugins.keys()):
        issue = node_issue(PLUGIN_MISSING, f"the plugin {name} is not installed", _rows("plugin", uses.plugins[name]))
        return Withheld(PLUGIN_SET_INCOMPATIBLE, name, issue)
    for name in sorted(uses.plugins):
        installed = info.plugins[name] or ""
        if not _is_plugin_taken(name, parse_version(installed)):
            text = f"the plugin {name} is installed in version {installed}"
            issue = node_issue(PLUGIN_VERSION, text, _rows("plugin", uses.plugins[name]))
            return Withheld(PLUGIN_VERSION_INCOMPATIBLE, name, issue)
    for name in sorted(uses.filters.keys() - set(info.filters)):
        rows = _rows("filter_chain", uses.filters[name])
        issue = node_issue(FILTER_MISSING, f"the filter {name} is not installed", rows)
        return Withheld(FILTER_SET_INCOMPATIBLE, name, issue)
    return None


def _is_plugin_taken(name: str, version: NodeVersion | None) -> bool:
    # Plugins without a readable version are none of the bundled ones, and an early opentelemetry is taken as it is.
    if version is None or (name == "opentelemetry" and (version.major, version.minor) == (0, 1)):
        return True
    ours = CONTROL_PLANE_VERSION
    return version.major == ours.major and version.minor <= ours.minor


def _rows(kind: str, ids: Sequence[str]) -> list[dict[str, str]]:
    return [{"id": row_id, "type": kind} for row_id in ids]
