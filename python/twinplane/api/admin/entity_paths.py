"""The paths of entities in an Admin API: those of a real gateway of that version, in its order of creation."""

from __future__ import annotations

from typing import Final

from twinplane.api.admin.upstreams import Targets
from twinplane.api.core.dispatch import Dispatcher
from twinplane.api.core.entity import Rules
from twinplane.api.core.message import Answer, Call, message
from twinplane.api.core.paths import Plan, add_entity_paths
from twinplane.api.core.source import Source
from twinplane.registry import entity_types

_TYPES: Final = (
    "services",
    "routes",
    "consumers",
    "plugins",
    "upstreams",
    "targets",
    "certificates",
    "snis",
    "ca_certificates",
    "vaults",
    "key_sets",
    "keys",
    "keyauth_credentials",
    "basicauth_credentials",
    "hmacauth_credentials",
    "jwt_secrets",
    "acls",
    "oauth2_credentials",
    "oauth2_tokens",
)


def add_admin_entities(dispatcher: Dispatcher, source: Source, rules: Rules, targets: Targets) -> None:
    """Serve every entity type that a gateway has endpoints for."""
    known = entity_types()
    plan = Plan(
        types={name: known[name] for name in _TYPES if name in known},
        rules=rules,
        nested_only=("targets",),
        # Listed by a real node, but always answered with 404 (vectors: certificates/nested-snis).
        unlinked=(("snis", "certificate"),),
        listers={("targets", "upstreams"): targets.newest_first},
    )
    add_entity_paths(dispatcher, source, plan)


def add_filters(dispatcher: Dispatcher) -> None:
    """Serve the paths of filters, which need a runtime that is not there."""

    def refuse(_call: Call, _keys: tuple[str, ...]) -> Answer:
        return message(400, "this endpoint is only available when wasm is enabled")

    def absent(_call: Call, keys: tuple[str, ...]) -> Answer:
        return message(404, f"Filter '{keys[0]}' not found")

    collection = {"GET": refuse, "POST": refuse}
    item = dict.fromkeys(("GET", "PUT", "PATCH", "DELETE"), refuse)
    dispatcher.add("/schemas/filters/{name}", {"GET": absent})
    for parent in ("", "/services/{services}", "/routes/{routes}"):
        dispatcher.add(f"{parent}/filter-chains", collection)
        dispatcher.add(f"{parent}/filter-chains/{{filter_chains}}", item)
    for state in ("all", "enabled", "disabled"):
        dispatcher.add(f"/routes/{{routes}}/filters/{state}", {"GET": refuse})
