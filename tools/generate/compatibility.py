"""Writes the page on what older nodes receive, from the rules by which they are served."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from twinplane.hybrid.compat import CONTROL_PLANE_VERSION
from twinplane.hybrid.compat_issues import DOCS_PAGE, NODE_CODES, anchor, unknown_code
from twinplane.hybrid.compat_rules import ENTITY_FIELDS, PLUGIN_FIELDS, REWRITES
from twinplane.hybrid.compat_schema import SchemaRule, entity_rules, plugin_rules

PAGE = DOCS_PAGE

_HEAD = f"""<!-- Generated from python/twinplane/hybrid/compat*.py and the schemas by `make generate`; do not edit. -->
# What older nodes receive

A control plane serves nodes of its own major version, up to {CONTROL_PLANE_VERSION}. Each gets the whole
configuration in the form that its version knows: a field that came later is left out, some values are sent in another
form, and entities of the enterprise edition are for nodes with four numbers in their version. What a node loses stands
on it as an issue, but only where the value is not the default and so would have mattered.

Two twinplanes need none of this: a node of ours takes the configuration as it is.

Every issue has the `code` of a line below, a `severity` (`warning`: the node runs the rest; `error`: nothing new
reaches it), a `resolution`, and in `affected_resources` what it is about. `GET …/nodes/{{id}}` shows them.

## Nodes that are sent nothing

The link stays open and the node keeps what it has, except for `version_refused`, which ends it. The next configuration
is tried again.

| code | what it means | what to do |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class _Line:
    since: str
    code: str
    field: str
    default: str


def page() -> str:
    """The whole file."""
    nodes = [f"| {_code(code)} | {text} | {_sentence(todo)} |" for code, (text, todo) in NODE_CODES.items()]
    parts = [_HEAD + "\n".join(nodes) + "\n", _rewrites(), _fields(list(_lines())), _enterprise()]
    return "\n".join(parts)


def _rewrites() -> str:
    rows = []
    for rewrite in REWRITES:
        code = _code(rewrite.code) if rewrite.code else "nothing is lost"
        rows.append(f"| {rewrite.since} | {code} | {_sentence(rewrite.text)} |")
    head = "## Values that are sent in another form\n\n| nodes before | code | what is sent |\n|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _lines() -> Iterator[_Line]:
    for owner, schema_rules in (*plugin_rules().items(), *entity_rules().items()):
        for rule in schema_rules:
            if rule.since is not None and not rule.is_enterprise:
                path = ".".join(rule.path)
                yield _Line(rule.since, unknown_code(owner, path), f"`{owner}` `{path}`", _value(rule.default))
    for owner, field_rules in (*PLUGIN_FIELDS.items(), *ENTITY_FIELDS.items()):
        for field in field_rules:
            if not field.is_silent:
                yield _Line(field.since, field.code, f"`{owner}` `{field.path}`", _value(field.default))


def _fields(lines: Sequence[_Line]) -> str:
    ordered = sorted(lines, key=lambda line: (_newest_first(line.since), line.code))
    rows = [f"| {line.since} | {_code(line.code)} | {line.field} | {line.default} |" for line in ordered]
    head = (
        "## Fields that are left out\n\nA plugin or a collection, and the field of its configuration or its rows.\n\n"
        "| nodes before | code | field | default |\n|---|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def _enterprise() -> str:
    rules: list[tuple[str, SchemaRule]] = [
        (owner, rule)
        for owner, some in (*plugin_rules().items(), *entity_rules().items())
        for rule in some
        if rule.is_enterprise
    ]
    rows = [
        f"| {_code(unknown_code(owner, '.'.join(rule.path)))} | `{owner}` `{'.'.join(rule.path)}` "
        f"| {rule.since or 'all'} | {_value(rule.default)} |"
        for owner, rule in sorted(rules, key=lambda each: (each[0], each[1].path))
    ]
    head = (
        "## Fields of the enterprise edition\n\n| code | field | enterprise nodes from | default |\n|---|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def _newest_first(since: str) -> tuple[int, ...]:
    return tuple(-int(part) for part in since.split("."))


def _code(code: str) -> str:
    return f'<a id="{anchor(code)}"></a>`{code}`'


def _value(default: Any) -> str:
    return "unset" if default in (None, [], {}) else f"`{json.dumps(default)}`"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(".") + "."
