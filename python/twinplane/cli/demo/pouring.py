"""Puts the demo's configuration into a control plane over its API: into an empty one, or where it was before.

Ids come with the document, so that what an interrupted start left undone is done by the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twinplane.cli.demo.document import Rows
from twinplane.cli.errors import StartError
from twinplane.cli.platform_client import PlatformClient
from twinplane.registry import entity_types

_PAGE = 1000
_MEMBERS = "consumer_group_consumers"
# Whose rows come and go with those of others, or that are no configuration of a user.
_UNASKED = frozenset({"workspaces", "parameters", "tags", "clustering_data_planes", _MEMBERS})


class Pouring:
    """One control plane, as the demo sees it."""

    def __init__(self, client: PlatformClient, control_plane_id: str) -> None:
        self._client = client
        self._base = f"/v2/control-planes/{control_plane_id}/core-entities"

    def found(self) -> Mapping[str, frozenset[str]]:
        """The ids of what the control plane holds, by collection; of long collections their first page."""
        found = {}
        for name, entity in entity_types().items():
            if name in _UNASKED:
                continue
            page = self._client.call("GET", f"{self._base}/{entity.admin_path}?size={_PAGE}")
            if page["data"]:
                found[name] = frozenset(row["id"] for row in page["data"])
        return found

    def pour(self, rows: Rows) -> None:
        """Put in all of it."""
        for name, row in _each(rows):
            self._put(name, row)

    def change(self, before: Rows, after: Rows) -> None:
        """Put in what differs, and take out what is no more; what a person did to the rest stays."""
        old = {(name, row["id"]): row for name, row in _each(before)}
        new = {(name, row["id"]): row for name, row in _each(after)}
        for name, one in old.keys() - new.keys():
            self._client.call("DELETE", f"{self._base}/{entity_types()[name].admin_path}/{one}")
        for (name, one), row in new.items():
            known = old.get((name, one))
            if known is None or _told(known) != _told(row):
                self._put(name, row)

    def _put(self, name: str, row: Mapping[str, Any]) -> None:
        if name == _MEMBERS:
            path = f"{self._base}/consumer_groups/{row['consumer_group']['id']}/consumers"
            self._client.call("POST", path, {"consumer": row["consumer"]["id"]})
        else:
            self._client.call("PUT", f"{self._base}/{entity_types()[name].admin_path}/{row['id']}", _told(row))


def refuse_foreign(found: Mapping[str, frozenset[str]], rows: Rows) -> None:
    """Raise StartError where a control plane holds something that is not the demo's."""
    own = {name: {row["id"] for row in of_name} for name, of_name in rows.items()}
    foreign = {name: len(ids - own.get(name, set())) for name, ids in found.items() if ids - own.get(name, set())}
    if foreign:
        held = ", ".join(f"{count}{'+' * (count >= _PAGE)} {name}" for name, count in sorted(foreign.items()))
        raise StartError(
            f"demo: the control plane `default` has a configuration of its own ({held}); nothing was changed. The demo "
            "goes into an empty one only: give another directory with --data, or leave --demo away"
        )


def _each(rows: Rows) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every row, what is referred to before what refers to it."""
    for name in sorted(rows, key=_depth):
        for row in rows[name]:
            yield name, row


def _depth(name: str) -> int:
    targets = {foreign.target for foreign in entity_types()[name].foreign.values()} - {name}
    return 1 + max(map(_depth, targets), default=0)


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a client says of an entity: moments are the control plane's."""
    return {field: value for field, value in row.items() if value is not None and field not in _MOMENTS}


_MOMENTS = ("created_at", "updated_at")
