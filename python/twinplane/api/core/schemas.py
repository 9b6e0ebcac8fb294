"""Schemas as served, read from the registry: entities, plugins, vaults; and bodies checked against them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from twinplane.api.core.dispatch import Handler
from twinplane.api.core.entity import Entities, Rules
from twinplane.api.core.forms import FormSpecs
from twinplane.api.core.message import Answer, Call, json_answer, message
from twinplane.control import Control
from twinplane.registry import entity_types, plugin_types, vault_types


class ServedSchemas:
    """What `/schemas/…` shows. Answers are made once and kept."""

    @cache  # noqa: B019 (lives as long as the process)
    def entity(self, type_name: str) -> Mapping[str, Any] | None:
        """The schema of a collection, by its table name."""
        kind = entity_types().get(type_name)
        return None if kind is None else kind.kong_schema()

    @cache  # noqa: B019
    def sub(self, type_name: str, name: str) -> Mapping[str, Any] | None:
        """The schema that a plugin or vault of that name adds."""
        kinds = plugin_types() if type_name == "plugins" else vault_types()
        kind = kinds.get(name)
        return None if kind is None else kind.kong_schema()

    @cache  # noqa: B019
    def json(self, singular: str) -> Mapping[str, Any] | None:
        """The JSON schema of an entity, by its name in the singular."""
        kind = next((kind for kind in entity_types().values() if kind.singular == singular), None)
        return None if kind is None else kind.json_schema()


class SchemaEndpoints:
    """Handlers of `/schemas/…`. `validated_status` is what a good body is answered with."""

    def __init__(self, control: Control, schemas: ServedSchemas, forms: FormSpecs, *, validated_status: int) -> None:
        self._schemas = schemas
        self._control = control
        self._forms = forms
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

    def entity(self, _call: Call, keys: tuple[str, ...]) -> Answer:
        """The schema of a collection."""
        schema = self._schemas.entity(keys[0])
        return message(404, f"No entity named '{keys[0]}'") if schema is None else json_answer(200, schema)

    def plugin(self, _call: Call, keys: tuple[str, ...]) -> Answer:
        """The schema of a plugin."""
        schema = self._schemas.sub("plugins", keys[0])
        return message(404, f"No plugin named '{keys[0]}'") if schema is None else json_answer(200, schema)

    def vault(self, _call: Call, keys: tuple[str, ...]) -> Answer:
        """The schema of a vault's backend."""
        schema = self._schemas.sub("vaults", keys[0])
        return message(404, f"No vault named '{keys[0]}'") if schema is None else json_answer(200, schema)

    def validate(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Check a body as if it were to be created; nothing is looked up and nothing kept."""
        kind = entity_types().get(keys[0])
        if kind is None:
            return message(404, f"No entity named '{keys[0]}'")
        fields = Entities(self._control, self._forms, keys[0], rules=Rules()).fields(call, ())
        kind.prepare_insert(fields, now=time.time())
        return self._validated
