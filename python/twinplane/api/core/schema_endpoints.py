"""`/schemas/…`: what entities, plugins and vaults look like, and whether a body is one."""

from __future__ import annotations

import time
from collections.abc import Mapping

from twinplane.api.core.dispatch import Handler
from twinplane.api.core.entity import Entities, Rules
from twinplane.api.core.message import Answer, Call, json_answer, message
from twinplane.api.core.schemas import entity_schema, sub_schema
from twinplane.api.core.source import Source
from twinplane.registry import RouterFlavor, entity_types, route_type


class SchemaEndpoints:
    """Handlers of `/schemas/…`. `validated_status` is what a good body is answered with."""

    def __init__(self, control: Source, *, rules: Rules, validated_status: int) -> None:
        self._control = control
        self._rules = rules
        self._validated = message(validated_status, "schema validation successful")

    def paths(self) -> Mapping[str, Mapping[str, Handler]]:
        """Every path with its methods."""
        return {
            "/schemas/{entity}": {"GET": self.entity},
            "/schemas/{entity}/validate": {"POST": self.validate},
            "/schemas/plugins/validate": {"POST": lambda call, _keys: self.validate(call, ("plugins",))},
            "/schemas/vaults/validate": {"POST": lambda call, _keys: self.validate(call, ("vaults",))},
            "/schemas/plugins/{name}": {"GET": self.plugin},
            "/schemas/vaults/{name}": {"GET": self.vault},
        }

    def entity(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """The schema of a collection."""
        schema = route_type(self._flavor(call)).kong_schema() if keys[0] == "routes" else entity_schema(keys[0])
        return message(404, f"No entity named '{keys[0]}'") if schema is None else json_answer(200, schema)

    def _flavor(self, call: Call) -> RouterFlavor:
        """How routes of the control plane are written."""
        return self._control.router_flavor(call.site.scope)

    def plugin(self, _call: Call, keys: tuple[str, ...]) -> Answer:
        """The schema of a plugin."""
        schema = sub_schema("plugins", keys[0])
        return message(404, f"No plugin named '{keys[0]}'") if schema is None else json_answer(200, schema)

    def vault(self, _call: Call, keys: tuple[str, ...]) -> Answer:
        """The schema of a vault's backend."""
        schema = sub_schema("vaults", keys[0])
        return message(404, f"No vault named '{keys[0]}'") if schema is None else json_answer(200, schema)

    def validate(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Check a body as if it were to be created; nothing is looked up and nothing kept."""
        kind = entity_types().get(keys[0])
        if kind is None:
            return message(404, f"No entity named '{keys[0]}'")
        if keys[0] == "routes":
            kind = route_type(self._flavor(call))
        fields = Entities(self._control, keys[0], rules=self._rules).fields(call, ())
        kind.prepare_insert(fields, now=time.time())
        return self._validated
