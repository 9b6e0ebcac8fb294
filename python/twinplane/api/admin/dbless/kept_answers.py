"""`/proxy-cache`: the answers that the plugin keeps on this node, looked at and forgotten."""

from __future__ import annotations

from collections.abc import Mapping

from twinplane.api.admin.dbless.door import NodeDoor
from twinplane.api.core.dispatch import Handler
from twinplane.api.core.message import NOT_FOUND, Answer, Call, empty, json_answer
from twinplane.control.declarative.room import DeclaredRoom

_PLUGIN = "proxy-cache"


class KeptAnswers:
    """Handlers below `/proxy-cache`. All plugins of that name on a node have one store."""

    def __init__(self, door: NodeDoor, room: DeclaredRoom) -> None:
        self._door = door
        self._room = room

    def paths(self) -> Mapping[str, Mapping[str, Handler]]:
        """Every path with its methods."""
        return {
            "/proxy-cache": {"DELETE": self.clear},
            "/proxy-cache/{key}": {"GET": self.show, "DELETE": self.forget},
            "/proxy-cache/{plugin}/caches/{key}": {"GET": self.show, "DELETE": self.forget},
        }

    def clear(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """Forget everything."""
        self._door.forget_answers(None)
        return empty()

    def show(self, _call: Call, keys: tuple[str, ...]) -> Answer:
        """One answer, by the key that clients are shown."""
        found = self._door.kept_answer(keys[-1]) if self._is_there(keys) else None
        return NOT_FOUND if found is None else json_answer(200, found)

    def forget(self, _call: Call, keys: tuple[str, ...]) -> Answer:
        """Forget one answer."""
        return empty() if self._is_there(keys) and self._door.forget_answers(keys[-1]) else NOT_FOUND

    def _is_there(self, keys: tuple[str, ...]) -> bool:
        """Whether the plugin is one of these, where the path names one. Raises NotFound."""
        if len(keys) == 1:
            return True
        return bool(self._room.get(self._room.scope, "plugins", keys[0])["name"] == _PLUGIN)
