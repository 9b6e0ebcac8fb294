"""Consumer groups, whose answers and members have forms of their own in Konnect and in decK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinplane.api.core.decode import decode
from twinplane.api.core.dispatch import Handler
from twinplane.api.core.message import NOT_FOUND, Answer, Call, empty, json_answer
from twinplane.api.core.paging import page_body, read_page
from twinplane.control import Control, Page, Parent
from twinplane.control.errors import NotFound, UniqueViolation

_GROUPS = "consumer_groups"
_MEMBERS = "consumer_group_consumers"
_CONSUMERS = "consumers"


class ConsumerGroups:
    """Handlers of groups and of their members, seen from either side."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def paths(self) -> Mapping[str, Mapping[str, Handler]]:
        """Every path with its methods; the collection and writes of groups are as for any entity."""
        return {
            "/consumer_groups/{consumer_groups}/consumers": {
                "GET": self.consumers_of_group,
                "POST": self.add_consumer,
                "DELETE": self.empty_group,
            },
            "/consumer_groups/{consumer_groups}/consumers/{consumers}": {
                "GET": self.member,
                "DELETE": lambda call, keys: self.remove(call, keys[0], keys[1]),
            },
            "/consumers/{consumers}/consumer_groups": {
                "GET": self.groups_of_consumer,
                "POST": self.add_to_group,
                "DELETE": self.leave_all,
            },
            "/consumers/{consumers}/consumer_groups/{consumer_groups}": {
                "DELETE": lambda call, keys: self.remove(call, keys[1], keys[0]),
            },
            **self._older_paths(),
        }

    def _older_paths(self) -> Mapping[str, Mapping[str, Handler]]:
        """The paths by which decK up to 1.5x writes groups: each answer wrapped as `item` or `items`."""
        member = {
            "POST": self.join,
            "PUT": self.join,
            "DELETE": lambda call, keys: self.remove(call, keys[1], keys[0]),
        }
        return {
            "/v1/consumer-groups": {"GET": self.items, "POST": self.create_item},
            "/v1/consumer-groups/{consumer_groups}": {
                "GET": self.item,
                "PUT": self.put_item,
                "DELETE": self.delete_item,
            },
            "/v1/consumer-groups/{consumer_groups}/members": {"GET": self.member_items},
            "/v1/consumers/{consumers}/groups/{consumer_groups}/members": member,
        }

    def items(self, call: Call, _keys: tuple[str, ...]) -> Answer:
        """All groups."""
        rows = self._all(call, _GROUPS, None)
        return json_answer(200, {"items": rows, "page": {"total_count": len(rows)}})

    def create_item(self, call: Call, _keys: tuple[str, ...]) -> Answer:
        """A new group."""
        fields = decode(call.request).fields
        return json_answer(
            201, {"item": self._control.changes.create(call.site.scope, call.site.actor, _GROUPS, fields)}
        )

    def item(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """One group."""
        return json_answer(200, {"item": self._control.changes.get(call.site.scope, _GROUPS, keys[0])})

    def put_item(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Create or replace a group."""
        fields = decode(call.request).fields
        row = self._control.changes.upsert(call.site.scope, call.site.actor, _GROUPS, keys[0], fields)
        return json_answer(200, {"item": row})

    def delete_item(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Delete a group."""
        self._control.changes.delete(call.site.scope, call.site.actor, _GROUPS, keys[0])
        return empty()

    def member_items(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """All members of a group."""
        group = self._control.changes.get(call.site.scope, _GROUPS, keys[0])
        rows = self._consumers(call, group["id"])
        return json_answer(200, {"items": rows, "page": {"total_count": len(rows)}})

    def join(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Make a consumer a member of a group."""
        group = self._control.changes.get(call.site.scope, _GROUPS, keys[1])
        return json_answer(201, {"item": self._join(call, group, keys[0])})

    def group(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """One group with its members.

        `plugins` are overrides of older versions, of which there are none here: plugins scoped to the group stand in
        the list of plugins, and decK would take them twice.
        """
        row = self._control.changes.get(call.site.scope, _GROUPS, keys[0])
        members = self._consumers(call, row["id"])
        return json_answer(200, {"consumer_group": row, "consumers": members, "plugins": []})

    def consumers_of_group(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Members of a group."""
        return self._listed(call, Parent(_GROUPS, keys[0]), "consumer", _CONSUMERS)

    def groups_of_consumer(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Groups of a consumer."""
        return self._listed(call, Parent(_CONSUMERS, keys[0]), "consumer_group", _GROUPS)

    def add_consumer(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Add one consumer, or several, to a group."""
        changes, scope = self._control.changes, call.site.scope
        group = changes.get(scope, _GROUPS, keys[0])
        added = [self._join(call, group, key) for key in _named(call, "consumer")]
        return json_answer(201, {"consumer_group": group, "consumers": added})

    def add_to_group(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Add a consumer to one group, or to several."""
        changes, scope = self._control.changes, call.site.scope
        consumer = changes.get(scope, _CONSUMERS, keys[0])
        groups = [changes.get(scope, _GROUPS, key) for key in _named(call, "group", "consumer_group")]
        for group in groups:
            self._join(call, group, consumer["id"])
        return json_answer(201, {"consumer_groups": groups, "consumer": consumer})

    def member(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """One member of a group."""
        found = self._membership(call, keys[0], keys[1])
        if found is None:
            return NOT_FOUND
        return json_answer(200, {"consumer": self._control.changes.get(call.site.scope, _CONSUMERS, keys[1])})

    def remove(self, call: Call, group_key: str, consumer_key: str) -> Answer:
        """End a membership."""
        found = self._membership(call, group_key, consumer_key)
        if found is None:
            return NOT_FOUND
        self._control.changes.delete(call.site.scope, call.site.actor, _MEMBERS, found)
        return empty()

    def empty_group(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """End all memberships of a group."""
        return self._end_all(call, Parent(_GROUPS, keys[0]))

    def leave_all(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """End all memberships of a consumer."""
        return self._end_all(call, Parent(_CONSUMERS, keys[0]))

    def _end_all(self, call: Call, parent: Parent) -> Answer:
        for row in self._all(call, _MEMBERS, parent):
            self._control.changes.delete(call.site.scope, call.site.actor, _MEMBERS, row["id"])
        return empty()

    def _join(self, call: Call, group: Mapping[str, Any], consumer_key: str) -> dict[str, Any]:
        changes, site = self._control.changes, call.site
        consumer = changes.get(site.scope, _CONSUMERS, consumer_key)
        body = {"consumer_group": {"id": group["id"]}, "consumer": {"id": consumer["id"]}}
        try:
            changes.create(site.scope, site.actor, _MEMBERS, body)
        except UniqueViolation:
            return consumer
        return consumer

    def _membership(self, call: Call, group_key: str, consumer_key: str) -> str | None:
        consumer = self._control.changes.get(call.site.scope, _CONSUMERS, consumer_key)
        rows = self._all(call, _MEMBERS, Parent(_GROUPS, group_key))
        return next((row["id"] for row in rows if row["consumer"]["id"] == consumer["id"]), None)

    def _consumers(self, call: Call, group_id: str) -> list[dict[str, Any]]:
        members = self._all(call, _MEMBERS, Parent(_GROUPS, group_id))
        return [self._control.changes.get(call.site.scope, _CONSUMERS, row["consumer"]["id"]) for row in members]

    def _listed(self, call: Call, parent: Parent, field: str, target: str) -> Answer:
        asked = read_page(call.request.query, accepts_empty_offset=True)
        page = self._page(call, _MEMBERS, parent, asked.size, asked.offset)
        changes, scope = self._control.changes, call.site.scope
        rows = []
        for row in page.rows:
            try:
                rows.append(changes.get(scope, target, row[field]["id"]))
            except NotFound:
                continue
        path = call.site.base + call.path.rstrip("/")
        return json_answer(200, page_body(rows, path=path, offset=page.offset, repeated={}))

    def _all(self, call: Call, type_name: str, parent: Parent | None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        offset: str | None = None
        while True:
            page = self._page(call, type_name, parent, 1000, offset)
            rows.extend(page.rows)
            if page.offset is None:
                return rows
            offset = page.offset

    def _page(self, call: Call, type_name: str, parent: Parent | None, size: int, offset: str | None) -> Page:
        return self._control.changes.page(call.site.scope, type_name, size=size, offset=offset, parent=parent)


def _named(call: Call, *fields: str) -> list[str]:
    body = decode(call.request).fields
    for field in fields:
        value = body.get(field)
        if value is not None:
            return [_key(one) for one in (value if isinstance(value, list) else [value])]
    return []


def _key(value: Any) -> str:
    return str(value.get("id") or value.get("username") or value.get("name")) if isinstance(value, dict) else str(value)
