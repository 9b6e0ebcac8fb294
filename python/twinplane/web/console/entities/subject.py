"""What a page of entities is about: a collection, and one row of it; and where such pages are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twinplane.control import Scope
from twinplane.control.errors import NotFound
from twinplane.control.ingress import GIVEN
from twinplane.registry import EntityType
from twinplane.web.console.entities.kinds import Kind, kind_at, name_of
from twinplane.web.console.errors import PageError
from twinplane.web.console.visit import Visit


@dataclass(frozen=True, slots=True)
class Subject:
    """What a page is about: a collection, and one row of it where there is one."""

    entity: EntityType
    kind: Kind
    row: Mapping[str, Any]

    @property
    def collection(self) -> str:
        """The collection's name."""
        return self.entity.name

    @property
    def name(self) -> str:
        """What the row is called."""
        return name_of(self.row) if self.row else ""

    @property
    def id(self) -> str:
        """The row's id."""
        return str(self.row.get("id", ""))


async def enter(visit: Visit) -> Subject:
    """The collection of the path. Raises PageError."""
    await visit.enter()
    collection = str(visit.request.path_params["collection"])
    entity, kind = kind_at(collection)
    visit.section = f"/entities/{collection}"
    return Subject(entity, kind, {})


async def enter_to_write(visit: Visit) -> Subject:
    """As `enter`, for what changes something. Raises PageError where an ingress controller owns the configuration."""
    subject = await enter(visit)
    if visit.is_kic and subject.collection not in GIVEN:
        text = (
            "An ingress controller owns this configuration: change it in Kubernetes, and the controller brings it here."
        )
        back = (path_of(visit, subject.collection), subject.kind.plural)
        raise PageError(409, "It is only read here", text, back)
    return subject


async def enter_row_to_write(visit: Visit) -> Subject:
    """As `enter_row`, for what changes something. Raises PageError."""
    await enter_to_write(visit)
    return await enter_row(visit)


async def enter_row(visit: Visit) -> Subject:
    """The row of the path, which the page is then about. Raises PageError."""
    subject = await enter(visit)
    path = path_of(visit, subject.collection)
    try:
        row = await visit.run(
            visit.control.changes.get, scope_of(visit), subject.collection, str(visit.request.path_params["entity"])
        )
    except NotFound:
        text = "It does not exist, or it was deleted in the meantime."
        raise PageError(404, f"No such {subject.kind.singular.lower()}", text, (path, subject.kind.plural)) from None
    found = Subject(subject.entity, subject.kind, row)
    visit.at(subject.kind.plural, path)
    visit.at(found.name, path_of(visit, subject.collection, found.id))
    return found


def scope_of(visit: Visit) -> Scope:
    """Of the control plane that the page is about."""
    assert visit.control_plane is not None
    return visit.control_plane.scope


def path_of(visit: Visit, collection: str, entity_id: str = "") -> str:
    """The address of a collection, or of one row."""
    path = f"{visit.base}/entities/{collection}"
    return f"{path}/{entity_id}" if entity_id else path
