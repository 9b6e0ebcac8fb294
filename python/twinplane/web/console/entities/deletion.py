"""Deleting: what goes with a row, or with many, is told before anything goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from twinplane.control.errors import BatchRefused, ControlError
from twinplane.control.naming import is_uuid
from twinplane.control.operation import Operation
from twinplane.schema import ENTITY
from twinplane.web.console.entities.consequences import consequences
from twinplane.web.console.entities.kinds import name_of
from twinplane.web.console.entities.refusals import problems_of
from twinplane.web.console.entities.subject import Subject, enter_row_to_write, enter_to_write, path_of, scope_of
from twinplane.web.console.visit import Visit

BULK_MAX = 1000


async def show_delete(visit: Visit) -> Response:
    """What goes with a row, before it goes."""
    subject = await enter_row_to_write(visit)
    return await _deletion(visit, subject)


async def delete(visit: Visit) -> Response:
    """Delete a row with what cascades."""
    subject = await enter_row_to_write(visit)
    try:
        await visit.run(visit.control.changes.delete, scope_of(visit), visit.actor, subject.collection, subject.id)
    except ControlError as error:
        return await _deletion(visit, subject, problem=problems_of(error).get(ENTITY, str(error)), status=400)
    return visit.go(path_of(visit, subject.collection), said="deleted")


async def delete_many(visit: Visit) -> Response:
    """Delete the rows that were ticked, all or none, once what goes with them was seen."""
    subject = await enter_to_write(visit)
    path = path_of(visit, subject.collection)
    ids = [one for one in visit.form.all("id") if is_uuid(one)][:BULK_MAX]
    found = await visit.run(visit.control.changes.several, scope_of(visit), {subject.collection: ids})
    rows = [found[subject.collection, one] for one in ids if (subject.collection, one) in found]
    if not rows:
        return visit.go(path, said="unchanged")
    if visit.form.get("confirmed") != "yes":
        return await _deletion_of_many(visit, subject, rows)
    operations = [Operation("delete", subject.collection, key=str(row["id"])) for row in rows]
    try:
        await visit.run(visit.control.changes.apply, scope_of(visit), visit.actor, operations)
    except BatchRefused as error:
        reason = problems_of(error.cause).get(ENTITY) or str(error.cause)
        problem = f"{name_of(rows[error.position])}: {reason}"
        return await _deletion_of_many(visit, subject, rows, problem=problem, status=400)
    return visit.go(path, said="deleted")


async def _deletion(visit: Visit, subject: Subject, *, problem: str = "", status: int = 200) -> Response:
    found = await visit.run(consequences, visit.control, scope_of(visit), subject.collection, [subject.id])
    visit.at("Delete")
    return visit.page("entities/delete.html", status=status, subject=subject, consequences=found, problem=problem)


async def _deletion_of_many(
    visit: Visit, subject: Subject, rows: Sequence[Mapping[str, Any]], *, problem: str = "", status: int = 200
) -> Response:
    ids = [str(row["id"]) for row in rows]
    found = await visit.run(consequences, visit.control, scope_of(visit), subject.collection, ids)
    visit.at(subject.kind.plural, path_of(visit, subject.collection))
    visit.at("Delete")
    return visit.page(
        "entities/delete_many.html",
        status=status,
        subject=subject,
        rows=rows,
        consequences=found,
        problem=problem,
        name_of=name_of,
    )
