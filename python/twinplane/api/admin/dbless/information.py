"""What a node without control plane says of itself: `/`, `/status`, `/endpoints`, `/metrics`, `/timers`, `/cache`."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from twinplane.api.admin.dbless.door import NodeDoor
from twinplane.api.admin.information import ADMIN_VERSION, LogLevel
from twinplane.api.core.dispatch import Handler
from twinplane.api.core.message import NOT_FOUND, Answer, Call, empty, json_answer, message
from twinplane.control.declarative.room import DeclaredRoom
from twinplane.registry import plugin_types

_NO_CONTROL_PLANE: Final = message(
    400, "this endpoint is only available when Kong is configured to run as Control Plane for the cluster"
)


class NodeInformation:
    """Handlers that tell about this node."""

    def __init__(self, door: NodeDoor, room: DeclaredRoom, templates: Callable[[], list[str]]) -> None:
        self._door = door
        self._room = room
        self._templates = templates
        self._level = LogLevel(logging.getLogger())

    def paths(self) -> Mapping[str, Mapping[str, Handler]]:
        """Every path with its methods."""
        return {
            "/": {"GET": self.root},
            "/status": {"GET": self.status},
            "/endpoints": {"GET": self.endpoints},
            "/metrics": {"GET": self.metrics},
            "/timers": {"GET": self.timers},
            "/plugins/enabled": {"GET": self.enabled_plugins},
            "/cache": {"DELETE": self.forget},
            "/cache/{key}": {"GET": self.nothing_cached, "DELETE": self.forget},
            "/clustering/data-planes": {"GET": self.no_control_plane},
            "/clustering/status": {"GET": self.no_control_plane},
            "/debug/node/log-level": {"GET": self._level.show},
            "/debug/node/log-level/{level}": {"PUT": self._level.change},
            "/debug/cluster/log-level/{level}": {"PUT": self._level.change},
        }

    def root(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """Version, settings, plugins."""
        kinds = plugin_types()
        entities, now = self._room.entities, self._room.now()
        enabled = {row["name"] for row in entities.all("plugins", now=now) if row["enabled"]}
        configuration = {
            **self._door.settings(),
            "database": "off",
            "role": "traditional",
            "router_flavor": entities.flavor,
            "loaded_plugins": dict.fromkeys(kinds, True),
            "loaded_vaults": {"env": True},
        }
        available = {name: {"version": kind.version, "priority": kind.priority} for name, kind in kinds.items()}
        return json_answer(
            200,
            {
                "version": ADMIN_VERSION,
                "edition": "community",
                "tagline": "twinplane node",
                "hostname": socket.gethostname(),
                "node_id": self._door.node_id,
                # No Lua is run; the member is there for clients that expect one.
                "lua_version": "",
                "timers": {"running": 0, "pending": 0},
                "pids": {"master": os.getpid(), "workers": [os.getpid()]},
                "plugins": {"available_on_server": available, "enabled_in_cluster": sorted(enabled)},
                "configuration": configuration,
            },
        )

    def status(self, call: Call, _keys: tuple[str, ...]) -> Answer:
        """Connections, memory, which configuration is served."""
        query = call.request.query
        return json_answer(*self._door.status(query.first("unit") or "m", query.first("scale") or "2"))

    def endpoints(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """Every path of this face."""
        return json_answer(200, {"data": self._templates()})

    def metrics(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """What Prometheus reads."""
        text, content_type = self._door.metrics()
        return Answer(200, text, ((b"content-type", content_type.encode()),))

    def timers(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """A node has no timers of that kind; only how many workers there are is told."""
        runs: dict[str, Any] = {"running": 0, "pending": 0, "waiting": 0, "total": 0, "runs": 0}
        worker = {"id": 0, "count": self._door.workers()}
        return json_answer(200, {"worker": worker, "stats": {"sys": runs, "timers": {}, "flamegraph": {}}})

    def enabled_plugins(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """Every plugin that may be configured."""
        return json_answer(200, {"enabled_plugins": sorted(plugin_types())})

    def nothing_cached(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """Entities are not kept in a cache beside the configuration."""
        return NOT_FOUND

    def forget(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """There is nothing to forget."""
        return empty()

    def no_control_plane(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """Only a control plane has nodes."""
        return _NO_CONTROL_PLANE
