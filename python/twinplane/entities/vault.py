"""Vaults: where references to secrets are resolved."""

from typing import Annotated, Any, ClassVar

from twinplane.schema import Abstract, ChosenBy, Entity, Match, Record, Unique, Variant, named_kind, not_in
from twinplane.schema.rules import kong_text
from twinplane.schema.shared import AutoId, CreatedAt, Tags, UpdatedAt


class VaultConfig(Record):
    """The configuration; its form is the backend's own."""


def _not_installed(name: Any) -> dict[str, str]:
    return {"name": "required field missing" if name is None else f"vault '{kong_text(name)}' is not installed"}


class Vault(Entity, collection="vaults", endpoint_key="prefix", cache_key=("prefix",)):
    """A place that holds secrets, under the prefix by which references name it."""

    id: AutoId = None
    prefix: Annotated[
        str,
        Unique(across_workspaces=True),
        not_in("env"),
        Match("^[a-z][a-z%d-]-[a-z%d]+$"),
        "Name of the vault in references.",
    ]
    name: Annotated[str, "Backend that holds the secrets."]
    description: Annotated[str | None, "What the vault is for."] = None
    config: Annotated[VaultConfig | None, Abstract(), "Configuration, in the form of the backend."] = None
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None
    tags: Tags = None

    chosen_by: ClassVar = ChosenBy(named_kind, _not_installed)


class EnvConfig(Record):
    """Secrets in environment variables of the node."""

    prefix: Annotated[str | None, Match("^[%a_-][%a%d_-]*$"), "Put before the name of each variable."] = None


class EnvVault(Variant):
    """Environment variables of the node."""

    config: Annotated[EnvConfig, "Where the variables are."]


VARIANTS = {"env": EnvVault}
