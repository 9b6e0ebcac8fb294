"""One entity as text to take away: for decK, as JSON, as a call of the API, for Terraform; without secrets. Pure.

Where a secret stood, JSON says nothing, and the other forms name a variable that whoever runs them sets.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from twinplane.control.masking import masked
from twinplane.registry import EntityType, entity_type
from twinplane.web.console.entities.kinds import name_of

HIDDEN = "\ue000secret\ue000"
"""Stands for a secret while a text is made; none of the forms writes it."""

FORMS = ("decK", "JSON", "curl", "Terraform")

_TERRAFORM = {
    "services": "gateway_service", "routes": "gateway_route", "consumers": "gateway_consumer",
    "upstreams": "gateway_upstream",
    "targets": "gateway_target", "certificates": "gateway_certificate", "ca_certificates": "gateway_ca_certificate",
    "snis": "gateway_sni", "keys": "gateway_key", "key_sets": "gateway_key_set", "vaults": "gateway_vault",
    "consumer_groups": "gateway_consumer_group", "keyauth_credentials": "gateway_key_auth",
    "basicauth_credentials": "gateway_basic_auth", "hmacauth_credentials": "gateway_hmac_auth",
    "jwt_secrets": "gateway_jwt", "acls": "gateway_acl",
}  # fmt: skip
_LEFT_OUT = frozenset({"created_at", "updated_at"})
_DECK_PLURALS = {"keyauth_credentials": "keyauth_credentials", "key_sets": "key-sets"}


def written(form: str, entity: EntityType, row: Mapping[str, Any], *, control_plane_id: str, api: str) -> str:
    """The row in one of FORMS. `api` is the address of the region's API."""
    shown = _shown(entity, row)
    if form == "JSON":
        return json.dumps(_without(shown), indent=2, ensure_ascii=False)
    if form == "curl":
        call = _curl(entity, _named(shown, lambda name: f"\ue000{name.upper()}\ue000"), control_plane_id, api)
        # Between the quotes of the body the shell's own begin.
        return re.sub("\ue000([A-Z0-9_]+)\ue000", r"""'"$SECRET_\1"'""", call)
    if form == "Terraform":
        return _terraform(entity, _named(shown, _Variable))
    return _deck(entity, _named(shown, lambda name: f'${{{{ env "DECK_{name.upper()}" }}}}'))


def _shown(entity: EntityType, row: Mapping[str, Any]) -> dict[str, Any]:
    """What was set: no unset values, no times, and HIDDEN for secrets at any depth."""
    kept = masked(entity.name, row, HIDDEN)
    return {name: value for name, value in kept.items() if value is not None and name not in _LEFT_OUT}


def _without(value: Any) -> Any:
    """A value without its secrets."""
    if isinstance(value, Mapping):
        return {name: _without(one) for name, one in value.items() if one != HIDDEN}
    return [_without(one) for one in value if one != HIDDEN] if isinstance(value, list) else value


def _named(value: Any, written_as: Callable[[str], str], path: str = "") -> Any:
    """A value with names of variables for its secrets, each named by where it stands."""
    if value == HIDDEN:
        return written_as(re.sub(r"[^A-Za-z0-9]+", "_", path).strip("_").lower() or "secret")
    if isinstance(value, Mapping):
        return {name: _named(one, written_as, f"{path}_{name}") for name, one in value.items()}
    if isinstance(value, list):
        return [_named(one, written_as, f"{path}_{place}") for place, one in enumerate(value)]
    return value


class _Variable(str):
    """The name of a variable of Terraform: written as it is, not as a text."""

    __slots__ = ()


def _deck(entity: EntityType, row: Mapping[str, Any]) -> str:
    body = {name: value.get("id") if name in entity.foreign else value for name, value in row.items()}
    document = {"_format_version": "3.0", _DECK_PLURALS.get(entity.name, entity.name): [body]}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _curl(entity: EntityType, row: Mapping[str, Any], control_plane_id: str, api: str) -> str:
    parent = next((name for name, foreign in entity.foreign.items() if foreign.required and name in row), None)
    path = f"/{entity.admin_path}/{row.get('id', '')}"
    if parent is not None:
        above = entity_type(entity.foreign[parent].target).admin_path
        path = f"/{above}/{row[parent]['id']}/{entity.nested_path}/{row.get('id', '')}"
    url = f"{api}/v2/control-planes/{control_plane_id}/core-entities{path}"
    body = json.dumps({name: value for name, value in row.items() if name not in ("id", parent)}, ensure_ascii=False)
    lines = [
        f"curl -X PUT {shlex.quote(url)}",
        '  -H "Authorization: Bearer $TOKEN"',
        "  -H 'Content-Type: application/json'",
        f"  -d {shlex.quote(body)}",
    ]
    return " \\\n".join(lines)


def _terraform(entity: EntityType, row: Mapping[str, Any]) -> str:
    kind = _TERRAFORM.get(entity.name)
    if entity.name == "plugins":
        kind = f"gateway_plugin_{str(row.get('name', '')).replace('-', '_')}"
    if kind is None:
        return f"# There is no Terraform resource for {entity.name}."
    label = re.sub(r"[^A-Za-z0-9_]+", "_", name_of(row)).strip("_") or "one"
    if label[0].isdigit():
        label = f"_{label}"
    lines = [f'resource "konnect_{kind}" "{label}" {{', "  control_plane_id = var.control_plane_id"]
    left_out = {"id", "name"} if entity.name == "plugins" else {"id"}
    for name, value in row.items():
        if name not in left_out:
            lines.append(f"  {name} = {_hcl(value, '  ')}")
    return "\n".join([*lines, "}", ""])


def _hcl(value: Any, indent: str) -> str:
    if isinstance(value, Mapping):
        inner = indent + "  "
        parts = [f"{inner}{_key(key)} = {_hcl(item, inner)}" for key, item in value.items() if item is not None]
        return "\n".join(["{", *parts, f"{indent}}}"]) if parts else "{}"
    if isinstance(value, list):
        inner = indent + "  "
        if all(not isinstance(item, list | Mapping) for item in value):
            return f"[{', '.join(_hcl(item, indent) for item in value)}]"
        return "\n".join(["[", *(f"{inner}{_hcl(item, inner)}," for item in value), f"{indent}]"])
    if isinstance(value, _Variable):
        return f"var.{value}" if value[0].isalpha() else f"var.secret_{value}"
    if isinstance(value, str):
        # In a quoted template `${` and `%{` begin an expression.
        return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
    return json.dumps(value)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", key) else json.dumps(key)
