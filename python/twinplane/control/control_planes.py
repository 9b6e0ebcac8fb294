"""Control planes: made, found, changed and deleted, each in a region of an organization."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from twinplane.control.control_plane_fields import check_change, check_creation
from twinplane.control.errors import InvalidParameter, InvalidParameters, NameTaken, NotFound, Predefined
from twinplane.control.ledger import Note, write_down
from twinplane.control.records import ControlPlane, NumberedPage
from twinplane.control.scope import Actor
from twinplane.control.settings import ControlSettings
from twinplane.store.sql import ControlPlaneRow, Database, Realm, Transaction

DEFAULT_NAME = "default"

_KIND = "control_planes"

_OPERATORS = {"id": ("eq", "oeq"), "name": ("eq", "neq", "contains"), "cluster_type": ("eq", "neq", "oeq")}
_SORTABLE = ("id", "name", "created_at", "updated_at")
_DEFAULTS: dict[str, Any] = {
    "description": "",
    "labels": {},
    "cluster_type": "CLUSTER_TYPE_CONTROL_PLANE",
    "auth_type": "pinned_client_certs",
    "cloud_gateway": False,
    "proxy_urls": [],
    "router_flavor": "traditional_compatible",
}

DeletionSubscriber = Callable[[str], None]


class ControlPlanes:
    """Control planes of every organization, by region."""

    def __init__(self, database: Database, settings: ControlSettings, clock: Callable[[], float]) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._advertised_port = settings.advertised_port
        self._subscribers: tuple[DeletionSubscriber, ...] = ()

    def advertise(self, port: int) -> None:
        """Word endpoints with this port from now on: it may be known only once the listener is open."""
        self._advertised_port = port

    @property
    def advertised_port(self) -> int:
        """The port that endpoints are worded with."""
        return self._advertised_port

    def on_deleted(self, subscriber: DeletionSubscriber) -> None:
        """Have `subscriber` called with the id of each control plane that was deleted."""
        self._subscribers = (*self._subscribers, subscriber)

    def create(self, organization_id: str, region: str, actor: Actor, fields: Mapping[str, object]) -> ControlPlane:
        """A new control plane. `fields` as in the Konnect request; raises InvalidParameters, NameTaken."""
        self._check_region(region)
        checked = check_creation(fields)
        now = self._clock()
        row = new_row(organization_id, region, checked, now=now)
        with self._database.writing() as tx:
            if tx.identity.organization(organization_id) is None:
                raise NotFound("organizations", {"id": organization_id})
            self._check_name(tx, organization_id, region, row.name)
            tx.control_planes.add(row)
            write_down(tx, _realm(row), actor, Note("create", _KIND, row.id, None, _noted(row)), now=now)
            row = self._row(tx, organization_id, region, row.id)
        return self._shown(row)

    def get(self, organization_id: str, region: str, control_plane_id: str) -> ControlPlane:
        """One control plane. Raises NotFound, also for a foreign one."""
        with self._database.reading() as tx:
            return self._shown(self._row(tx, organization_id, region, control_plane_id))

    def default(self, organization_id: str, region: str) -> ControlPlane:
        """The predefined one of a region."""
        with self._database.reading() as tx:
            row = tx.control_planes.by_name(organization_id, region, DEFAULT_NAME)
        if row is None:
            raise NotFound("control_planes", {"name": DEFAULT_NAME})
        return self._shown(row)

    def find(self, control_plane_id: str) -> ControlPlane | None:
        """By id alone, of whatever organization: for the link, which has authenticated otherwise."""
        with self._database.reading() as tx:
            row = tx.control_planes.by_id(control_plane_id)
        return None if row is None else self._shown(row)

    def find_by_prefix(self, prefix: str) -> ControlPlane | None:
        """The control plane whose host names begin with `prefix`."""
        with self._database.reading() as tx:
            row = tx.control_planes.by_prefix(prefix)
        return None if row is None else self._shown(row)

    def named(self, name: str) -> Sequence[ControlPlane]:
        """Those of a name in every organization and region: for the link, as above."""
        with self._database.reading() as tx:
            rows = tx.control_planes.all_by_name(name)
        return [self._shown(row) for row in rows]

    def list(
        self,
        organization_id: str,
        region: str,
        *,
        number: int = 1,
        size: int = 100,
        filters: Mapping[str, Mapping[str, str]] | None = None,
        labels: str | None = None,
        sort: str | None = None,
    ) -> NumberedPage[ControlPlane]:
        """Control planes of a region. `filters` is field to {operator: value}, `labels` is `key:value,key`."""
        wrong: list[InvalidParameter] = []
        _check_page(number, size, self._settings.page_size_max, wrong)
        conditions, cloud_gateway = _conditions(filters or {}, wrong)
        order = _order(sort, wrong)
        if wrong:
            raise InvalidParameters(wrong)
        with self._database.reading() as tx:
            rows, total = tx.control_planes.list(
                organization_id,
                region,
                filters=conditions,
                cloud_gateway=cloud_gateway,
                labels=_label_conditions(labels),
                sort=order,
                offset=(number - 1) * size,
                limit=size,
            )
        return NumberedPage([self._shown(row) for row in rows], number, size, total)

    def update(
        self,
        organization_id: str,
        region: str,
        actor: Actor,
        control_plane_id: str,
        fields: Mapping[str, object],
    ) -> ControlPlane:
        """Change the given fields. A label set to None goes."""
        checked = check_change(fields)
        with self._database.writing() as tx:
            row = self._row(tx, organization_id, region, control_plane_id)
            name = checked.get("name", row.name)
            if name != row.name:
                if row.is_predefined:
                    raise Predefined("control_planes", row.name)
                self._check_name(tx, organization_id, region, name)
            values = {name: value for name, value in checked.items() if name not in ("labels", "proxy_urls")}
            if "proxy_urls" in checked:
                values["proxy_urls"] = _json(checked["proxy_urls"])
            if "labels" in checked:
                values["labels"] = _json({k: v for k, v in checked["labels"].items() if v is not None})
            now = self._clock()
            values["updated_at"] = now
            tx.control_planes.update(_realm(row), values)
            changed = self._row(tx, organization_id, region, control_plane_id)
            note = Note("update", _KIND, row.id, _noted(row), _noted(changed))
            write_down(tx, _realm(row), actor, note, now=now)
            row = self._row(tx, organization_id, region, control_plane_id)
        return self._shown(row)

    def delete(self, organization_id: str, region: str, actor: Actor, control_plane_id: str) -> None:
        """Delete a control plane with all it holds. Raises Predefined for `default`."""
        with self._database.writing() as tx:
            row = self._row(tx, organization_id, region, control_plane_id)
            if row.is_predefined:
                raise Predefined("control_planes", row.name)
            note = Note("delete", _KIND, row.id, _noted(row), None)
            write_down(tx, _realm(row), actor, note, now=self._clock())
            tx.control_planes.delete(_realm(row))
        for subscriber in self._subscribers:
            subscriber(control_plane_id)

    def shown(self, row: ControlPlaneRow) -> ControlPlane:
        """A stored control plane with its endpoints worded."""
        return self._shown(row)

    def _shown(self, row: ControlPlaneRow) -> ControlPlane:
        return ControlPlane(
            id=row.id,
            organization_id=row.organization_id,
            region=row.region,
            name=row.name,
            description=row.description,
            labels=orjson.loads(row.labels),
            cluster_type=row.cluster_type,
            auth_type=row.auth_type,
            cloud_gateway=row.cloud_gateway,
            proxy_urls=orjson.loads(row.proxy_urls),
            router_flavor=row.router_flavor,
            prefix=row.prefix,
            control_plane_endpoint=self._endpoint(row, "cp0"),
            telemetry_endpoint=self._endpoint(row, "tp0"),
            revision=row.revision,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    def _endpoint(self, row: ControlPlaneRow, kind: str) -> str:
        port = "" if self._advertised_port == 443 else f":{self._advertised_port}"
        return f"https://{row.prefix}.{row.region}.{kind}.{self._settings.domain}{port}"

    def _check_region(self, region: str) -> None:
        if region not in self._settings.regions:
            raise NotFound("regions", {"name": region})

    def _row(self, tx: Transaction, organization_id: str, region: str, control_plane_id: str) -> ControlPlaneRow:
        row = tx.control_planes.in_region(organization_id, region, control_plane_id)
        if row is None:
            raise NotFound("control_planes", {"id": control_plane_id})
        return row

    def _check_name(self, tx: Transaction, organization_id: str, region: str, name: str) -> None:
        if tx.control_planes.by_name(organization_id, region, name) is not None:
            raise NameTaken("control_planes", "name", name)


def make_predefined(tx: Transaction, organization_id: str, regions: Sequence[str], *, now: float) -> None:
    """Make the control plane `default` in each region that has none."""
    for region in regions:
        if tx.control_planes.by_name(organization_id, region, DEFAULT_NAME) is None:
            row = new_row(organization_id, region, {"name": DEFAULT_NAME}, now=now, is_predefined=True)
            tx.control_planes.add(row)


def new_row(
    organization_id: str, region: str, fields: Mapping[str, Any], *, now: float, is_predefined: bool = False
) -> ControlPlaneRow:
    """A control plane that is not stored yet."""
    values = {**_DEFAULTS, **fields}
    return ControlPlaneRow(
        id=str(uuid.uuid4()),
        organization_id=organization_id,
        region=region,
        name=values["name"],
        description=values["description"],
        labels=_json(values["labels"]),
        cluster_type=values["cluster_type"],
        auth_type=values["auth_type"],
        cloud_gateway=values["cloud_gateway"],
        proxy_urls=_json(values["proxy_urls"]),
        router_flavor=values["router_flavor"],
        # A host label: ten hex digits, as clients of the hosted platform know them.
        prefix=secrets.token_hex(5),
        is_predefined=is_predefined,
        revision=0,
        created_at=now,
        updated_at=now,
    )


def _realm(row: ControlPlaneRow) -> Realm:
    return Realm(row.organization_id, row.id)


def _noted(row: ControlPlaneRow) -> dict[str, Any]:
    """What the history tells of a control plane."""
    return {
        "id": row.id,
        "name": row.name,
        "region": row.region,
        "description": row.description,
        "labels": orjson.loads(row.labels),
        "cluster_type": row.cluster_type,
        "auth_type": row.auth_type,
        "cloud_gateway": row.cloud_gateway,
        "proxy_urls": orjson.loads(row.proxy_urls),
        "router_flavor": row.router_flavor,
    }


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _check_page(number: int, size: int, size_max: int, wrong: list[InvalidParameter]) -> None:
    if number < 1:
        wrong.append(
            InvalidParameter("page[number]", "min", "must be at least 1", source="query", extra={"minimum": 1})
        )
    if size < 1:
        wrong.append(InvalidParameter("page[size]", "min", "must be at least 1", source="query", extra={"minimum": 1}))
    if size > size_max:
        wrong.append(
            InvalidParameter(
                "page[size]", "max", f"must be at most {size_max}", source="query", extra={"maximum": size_max}
            )
        )


def _conditions(
    filters: Mapping[str, Mapping[str, str]], wrong: list[InvalidParameter]
) -> tuple[list[tuple[str, str, list[str]]], bool | None]:
    conditions: list[tuple[str, str, list[str]]] = []
    cloud_gateway: bool | None = None
    for field, operations in filters.items():
        if field == "cloud_gateway":
            value = next(iter(operations.values()), "")
            if value not in ("true", "false"):
                wrong.append(InvalidParameter("filter[cloud_gateway]", "is_boolean", "must be a boolean", "query"))
            cloud_gateway = value == "true"
            continue
        for operator, value in operations.items():
            if operator not in _OPERATORS.get(field, ()):
                wrong.append(
                    InvalidParameter(f"filter[{field}][{operator}]", "unknown_property", "is not a filter", "query")
                )
            else:
                conditions.append((field, operator, value.split(",") if operator == "oeq" else [value]))
    return conditions, cloud_gateway


def _label_conditions(labels: str | None) -> list[tuple[str, str | None]]:
    conditions: list[tuple[str, str | None]] = []
    for part in (labels or "").split(","):
        key, colon, value = part.strip().partition(":")
        if key:
            conditions.append((key, value if colon else None))
    return conditions


def _order(sort: str | None, wrong: list[InvalidParameter]) -> list[tuple[str, bool]]:
    order = []
    for part in (sort or "").split(","):
        words = part.split()
        if not words:
            continue
        field, direction = words[0], words[1].lower() if len(words) > 1 else "asc"
        if field not in _SORTABLE or direction not in ("asc", "desc") or len(words) > 2:
            wrong.append(InvalidParameter("sort", "invalid", f"cannot sort by '{part.strip()}'", "query"))
        else:
            order.append((field, direction == "desc"))
    return order or [("created_at", False)]
