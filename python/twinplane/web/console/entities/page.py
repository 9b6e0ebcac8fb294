"""Every core entity, generated from its schema: lists, details, forms, deletion. No page knows a single field."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from twinplane.control import Change, Page, Parent
from twinplane.control.errors import ControlError, PrimaryKeyViolation
from twinplane.control.masking import masked
from twinplane.registry import EntityType, entity_type, plugin_types
from twinplane.schema import ENTITY, SchemaViolation, Shape
from twinplane.web.console.entities import covered, references, stale
from twinplane.web.console.entities.arrangement import arranged
from twinplane.web.console.entities.calls import call_of
from twinplane.web.console.entities.deletion import delete, delete_many, show_delete
from twinplane.web.console.entities.gallery import gallery
from twinplane.web.console.entities.inputs import indexes, inputs_of, texts_of
from twinplane.web.console.entities.kinds import KINDS, children_of, is_secret, name_of
from twinplane.web.console.entities.names import names_by_id
from twinplane.web.console.entities.refusals import problems_of
from twinplane.web.console.entities.subject import (
    Subject,
    enter,
    enter_row,
    enter_row_to_write,
    enter_to_write,
    path_of,
    scope_of,
)
from twinplane.web.console.entities.typed import changed, read_typed
from twinplane.web.console.entities.written import FORMS, written
from twinplane.web.console.errors import PageError
from twinplane.web.console.place import Place
from twinplane.web.console.visit import Visit

PAGE_SIZE = 50
RELATED_SIZE = 10
PREFIX = "v."
_AUTOMATIC = frozenset({"id", "created_at", "updated_at"})


async def show_list(visit: Visit) -> Response:
    """One page of a collection."""
    subject = await enter(visit)
    query = visit.request.query_params
    wanted, tags, offset = query.get("q", "").strip()[:200], query.get("tags", "").strip()[:500], query.get("offset")
    problem = ""
    page = Page([], None)
    try:
        page = await _page(visit, subject.collection, wanted, tags, offset)
    except ControlError as error:
        problem = problems_of(error).get(ENTITY, "") or "The list cannot be shown like this."
    total: int | None = None
    if not (wanted or tags):
        total = await visit.run(visit.control.changes.count, scope_of(visit), subject.collection)
    elif offset is None and page.offset is None:
        # What was found is counted only where one page holds all of it.
        total = len(page.rows)
    names = await _names(visit, subject.entity, page.rows)
    visit.at(subject.kind.plural)
    return visit.page(
        "entities/list.html",
        subject=subject,
        rows=page.rows,
        next_offset=page.offset,
        wanted=wanted,
        tags=tags,
        total=total,
        problem=problem,
        names=names,
        name_of=name_of,
        is_secret=is_secret,
    )


async def show_new(visit: Visit) -> Response:
    """The form for a new row; for a plugin the gallery comes first."""
    subject = await enter_to_write(visit)
    query = visit.request.query_params
    if subject.collection == "plugins" and query.get("plugin", "") not in plugin_types():
        return _gallery(visit, subject)
    shape = _shape(subject, {"name": query.get("plugin", "")})
    texts = texts_of(shape, shape.fill({"name": query["plugin"]} if "plugin" in query else {}))
    texts |= {name: query[name] for name in subject.entity.foreign if query.get(name)}
    # The id is given with the form: one that is sent twice makes one entity.
    return await _form(visit, subject, shape, {**texts, "id": str(uuid.uuid4())}, {}, is_new=True)


async def create(visit: Visit) -> Response:
    """Make a row, or show every problem beside its field."""
    subject = await enter_to_write(visit)
    typed = dict(visit.form.below(PREFIX))
    shape = _shape(subject, typed)
    if _with_more(visit, typed) or visit.is_reopened:
        return await _form(visit, subject, shape, typed, {}, is_new=True)
    body, problems = await _read(visit, subject, shape, typed)
    wanted_id = typed.get("id", "")
    if not problems:
        try:
            # What is left empty takes its default, as in the API.
            given = {name: value for name, value in body.items() if value is not None}
            row = await visit.run(
                visit.control.changes.create,
                scope_of(visit),
                visit.actor,
                subject.collection,
                {**given, **({"id": wanted_id} if wanted_id else {})},
            )
        except PrimaryKeyViolation:
            return visit.go(path_of(visit, subject.collection, wanted_id), said="unchanged")
        except (ControlError, SchemaViolation) as error:
            problems = problems_of(error)
        else:
            return visit.go(path_of(visit, subject.collection, str(row.get("id") or "")), said="created")
    return await _form(visit, subject, shape, typed, problems, is_new=True, status=400)


async def look_up(visit: Visit) -> Response:
    """What a text leads to, for an input that names an entity of this collection."""
    subject = await enter(visit)
    text = visit.request.query_params.get("q", "").strip()[:200]
    return JSONResponse(
        await visit.run(references.found, visit.control.changes, scope_of(visit), subject.collection, text)
    )


async def show(visit: Visit) -> Response:
    """One row: its fields, what belongs to it, and itself as text to take away."""
    subject = await enter_row(visit)
    form = visit.request.query_params.get("as", "")
    text = ""
    plane = visit.control_plane
    assert plane is not None
    if form in FORMS:
        number = visit.control.control_planes.advertised_port
        api = f"https://{plane.region}.api.{visit.control.settings.domain}{'' if number == 443 else f':{number}'}"
        text = written(form, subject.entity, subject.row, control_plane_id=plane.id, api=api)
    related = []
    for collection, field in children_of(subject.collection) if not form else ():
        if collection == subject.collection:
            continue
        page = await _under(visit, subject, collection, RELATED_SIZE)
        if page is not None:
            related.append((entity_type(collection), KINDS[collection], field, page))
    named = _named(subject.entity, [dict(subject.row)])
    named |= {one for entity, _, _, page in related for one in _named(entity, page.rows)}
    base = path_of(visit, subject.collection, subject.id)
    places = [Place("Fields", base), *(Place(name, f"{base}?as={name}") for name in FORMS)]
    shown = masked(subject.collection, subject.row)
    return visit.page(
        "entities/detail.html",
        subject=subject,
        shown_row=shown,
        names=await names_by_id(visit, named),
        related=related,
        places=places,
        call=call_of(subject.row, plane.proxy_urls) if subject.collection == "routes" else "",
        current=form or "Fields",
        text=text,
        name_of=name_of,
        is_secret=is_secret,
        config=shown.get("config"),
    )


async def show_edit(visit: Visit) -> Response:
    """The form of a row."""
    subject = await enter_row_to_write(visit)
    shape = _shape(subject, subject.row)
    return await _form(visit, subject, shape, texts_of(shape, subject.row), {}, is_new=False)


async def change(visit: Visit) -> Response:
    """Save what differs; where somebody else changed the row meanwhile, tell what, and keep what was typed."""
    typed = dict(visit.form.below(PREFIX))
    try:
        subject = await enter_row_to_write(visit)
    except PageError as error:
        if error.status != 404 or visit.control_plane is None or not typed:
            raise
        return await _anew(visit, typed)
    shape = _shape(subject, {**subject.row, **({"name": typed["name"]} if "name" in typed else {})})
    now = _texts(shape, subject.row)
    typed = covered.kept(typed, covered.secrets_of(now, _open_texts(subject, shape)))
    take = visit.form.get("take")
    if take:
        typed = stale.taken(typed, now, take)
    if _with_more(visit, typed) or take or visit.is_reopened:
        return await _form(visit, subject, shape, typed, {}, is_new=False)
    body, problems = await _read(visit, subject, shape, typed)
    if not problems:
        patch = changed(body, subject.row, shape)
        if not patch:
            return visit.go(path_of(visit, subject.collection, subject.id), said="unchanged")
        if stale.is_stale(visit.form.get("seen"), now, shape):
            return await _stale(visit, subject, shape, typed)
        try:
            await visit.run(
                visit.control.changes.update, scope_of(visit), visit.actor, subject.collection, subject.id, patch
            )
        except (ControlError, SchemaViolation) as error:
            problems = problems_of(error)
        else:
            return visit.go(path_of(visit, subject.collection, subject.id), said="saved")
    return await _form(visit, subject, shape, typed, problems, is_new=False, status=400)


async def _stale(visit: Visit, subject: Subject, shape: Shape, typed: Mapping[str, str]) -> Response:
    """The form again, with what others changed: taken over, or beside what was typed here."""
    now, shown = _texts(shape, subject.row), _open_texts(subject, shape)
    texts, meanwhile = stale.merge(typed, now, shown, visit.form.get("seen"), shape)
    by = await visit.run(visit.control.history.list, scope_of(visit), size=1, entity_id=subject.id)
    return await _form(
        visit,
        subject,
        shape,
        texts,
        {},
        is_new=False,
        status=409,
        meanwhile=meanwhile,
        changed_by=by[0] if by else None,
    )


async def _anew(visit: Visit, typed: dict[str, str]) -> Response:
    """The form of a row that was deleted while it was being edited, as one that makes it again."""
    subject = await enter_to_write(visit)
    typed["id"] = str(visit.request.path_params["entity"])
    again = "Create makes it again, with your values; secrets have to be typed again."
    problems = {ENTITY: f"Somebody deleted this while you were editing. {again}"}
    return await _form(visit, subject, _shape(subject, typed), typed, problems, is_new=True, status=409)


def _open_texts(subject: Subject, shape: Shape) -> dict[str, str]:
    return _texts(shape, masked(subject.collection, subject.row))


def _texts(shape: Shape, row: Mapping[str, Any]) -> dict[str, str]:
    """What a form asks for, as it stands in a row."""
    return {path: text for path, text in texts_of(shape, row).items() if path not in _AUTOMATIC}


async def _page(visit: Visit, collection: str, wanted: str, tags: str, offset: str | None) -> Page:
    changes, scope = visit.control.changes, scope_of(visit)
    cut: dict[str, Any] = {"size": PAGE_SIZE, "offset": offset, "tags": tags or None}
    if wanted:
        return await visit.run(changes.find, scope, collection, wanted, **cut)
    return await visit.run(changes.page, scope, collection, **cut)


async def _under(visit: Visit, subject: Subject, collection: str, size: int) -> Page | None:
    """The rows of another collection that name this one; None where they are not asked for that way."""
    try:
        parent = Parent(subject.collection, subject.id)
        return await visit.run(visit.control.changes.page, scope_of(visit), collection, size=size, parent=parent)
    except ControlError:
        return None


async def _names(visit: Visit, entity: EntityType, rows: list[dict[str, Any]]) -> dict[str, str]:
    """What the rows that these name are called, by id."""
    return await names_by_id(visit, _named(entity, rows))


def _named(entity: EntityType, rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {
        (foreign.target, str(row[name]["id"]))
        for row in rows
        for name, foreign in entity.foreign.items()
        if isinstance(row.get(name), Mapping)
    }


async def _read(
    visit: Visit, subject: Subject, shape: Shape, typed: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The body that was typed, with its references as ids, and what cannot be read."""
    body, problems = read_typed(shape, typed, without=_AUTOMATIC)
    body, unknown = await visit.run(references.resolve, visit.control.changes, scope_of(visit), subject.entity, body)
    return body, {**problems, **unknown}


async def _form(
    visit: Visit,
    subject: Subject,
    shape: Shape,
    typed: Mapping[str, str],
    problems: Mapping[str, Any],
    *,
    is_new: bool,
    status: int = 200,
    meanwhile: Sequence[stale.Meanwhile] = (),
    changed_by: Change | None = None,
) -> Response:
    now = {} if is_new else _texts(shape, subject.row)
    shown = {} if is_new else _open_texts(subject, shape)
    secrets = covered.secrets_of(now, shown)
    conflicts = [name for name in visit.form.get("conflicts").split(",") if name]
    if conflicts and not meanwhile:
        meanwhile = stale.still(conflicts, typed, now, shown, shape)
    inputs = inputs_of(shape, covered.covered(typed, secrets), problems, without=_AUTOMATIC)
    covered.mark(inputs, secrets)
    if subject.collection == "plugins":
        inputs = [one for one in inputs if one.name != "name"]
    await visit.run(references.offer, visit.control.changes, scope_of(visit), inputs)
    first, more = arranged(subject.collection, inputs)
    path = path_of(visit, subject.collection)
    if is_new:
        visit.at(subject.kind.plural, path)
        visit.at(f"New {subject.kind.singular.lower()}")
    else:
        visit.at("Edit")
    known = {one.label for one in inputs}
    whole = [text for name, text in problems.items() if name not in known and isinstance(text, str)]
    whole += [text for name, texts in problems.items() if name == ENTITY and isinstance(texts, list) for text in texts]
    return visit.page(
        "entities/form.html",
        status=status,
        subject=subject,
        first=first,
        more=more,
        typed=typed,
        problems=problems,
        whole=whole,
        seen="" if is_new else stale.seen_of(now, shape),
        meanwhile=meanwhile,
        changed_by=changed_by,
        is_new=is_new,
        target=path if is_new else f"{path}/{subject.id}/edit",
        back=path if is_new else f"{path}/{subject.id}",
    )


def _gallery(visit: Visit, subject: Subject) -> Response:
    wanted = visit.request.query_params.get("q", "").strip()[:100]
    path = path_of(visit, subject.collection)
    scope = {
        name: visit.request.query_params[name] for name in subject.entity.foreign if name in visit.request.query_params
    }
    visit.at(subject.kind.plural, path)
    visit.at("New plugin")
    return visit.page("entities/gallery.html", groups=gallery(wanted), wanted=wanted, scope=scope, path=path)


def _shape(subject: Subject, typed: Mapping[str, Any]) -> Shape:
    """The shape of a row: plugins and vaults have one for each name."""
    if subject.collection not in ("plugins", "vaults"):
        return subject.entity.shape
    name = typed.get("name") or subject.row.get("name") or ""
    try:
        return subject.entity.shape_for({"name": name} if name else {})
    except SchemaViolation:
        if subject.collection == "plugins":
            raise PageError(404, "Not found", "There is no plugin of this name.") from None
        return subject.entity.shape


def _with_more(visit: Visit, typed: dict[str, str]) -> bool:
    """Whether only one more, or one fewer, group of a list was asked for. Changes `typed` accordingly."""
    more, fewer = visit.form.get("more"), visit.form.get("fewer")
    if more:
        typed[f"{more}.{max(indexes(typed, more), default=-1) + 1}"] = "1"
    if fewer:
        for name in [name for name in typed if name == fewer or name.startswith(f"{fewer}.")]:
            del typed[name]
        typed.setdefault(fewer.rpartition(".")[0], "")
    return bool(more or fewer)


_BASE = "/{region}/control-planes/{control_plane}/entities/{collection}"

ROUTES = (
    Route(_BASE, show_list, methods=["GET"]),
    Route(_BASE, create, methods=["POST"]),
    Route(f"{_BASE}/new", show_new, methods=["GET"]),
    Route(f"{_BASE}/lookup", look_up, methods=["GET"]),
    Route(f"{_BASE}/delete", delete_many, methods=["POST"]),
    Route(_BASE + "/{entity}", show, methods=["GET"]),
    Route(_BASE + "/{entity}/edit", show_edit, methods=["GET"]),
    Route(_BASE + "/{entity}/edit", change, methods=["POST"]),
    Route(_BASE + "/{entity}/delete", show_delete, methods=["GET"]),
    Route(_BASE + "/{entity}/delete", delete, methods=["POST"]),
)
