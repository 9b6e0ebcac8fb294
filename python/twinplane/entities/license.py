"""Licences that an organization was given: kept, handed on to the nodes that know of them, needed by nothing here."""

import json
from typing import Annotated, Any

from twinplane.schema import Encrypted, Entity, Length, Unique
from twinplane.schema.rules import Check
from twinplane.schema.shared import AutoId, CreatedAt, UpdatedAt

PAYLOAD_BYTES_MAX = 65_536


def _bad_licence(value: Any) -> str | None:
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return "not a licence: no JSON"
    return None if isinstance(document, dict) and document else "not a licence: no JSON object"


class License(Entity, collection="licenses", edition="ee", since="2.3", workspaced=False):
    """A licence as its vendor wrote it. Nodes of the open edition do not know the entity and are not sent it."""

    id: AutoId = None
    payload: Annotated[
        str,
        Unique(),
        Encrypted(),
        Length(maximum=PAYLOAD_BYTES_MAX),
        Check(_bad_licence),
        "The licence: a JSON document as text.",
    ]
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None
