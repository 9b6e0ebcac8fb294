"""What a control plane says of itself in the Admin API: `/`, `/status`, `/endpoints`, `/plugins/enabled`, log level.

Only what is true without nginx: no timers, no workers' memory, no shared dictionaries.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from twinplane.api.core.dispatch import Handler
from twinplane.api.core.message import Answer, Call, json_answer, message
from twinplane.api.core.numerals import parse_number
from twinplane.control import Scope
from twinplane.control.errors import StoreError
from twinplane.registry import plugin_types

if TYPE_CHECKING:
    from twinplane.control import Control

ADMIN_VERSION: Final = "3.9.3"
"""The Kong whose Admin API this is; clients choose their features by it."""

_UNITS: Final = frozenset("bkmgBKMG")
_LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "notice": logging.INFO + 5,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "crit": logging.CRITICAL,
    "alert": logging.CRITICAL + 5,
    "emerg": logging.CRITICAL + 10,
}
_LEVEL_TIMEOUT_S: Final = 60.0
_TIMEOUT_S_MAX: Final = 86_400.0


class Information:
    """Handlers that tell about this process."""

    def __init__(self, control: Control, scope: Scope, templates: Callable[[], list[str]]) -> None:
        self._control = control
        self._scope = scope
        self._templates = templates
        self._node_id = str(uuid.uuid4())
        self._level = LogLevel(logging.getLogger("twinplane"))

    @property
    def node_id(self) -> str:
        """The id of this process, new at each start."""
        return self._node_id

    def paths(self) -> Mapping[str, Mapping[str, Handler]]:
        """Every path with its methods."""
        return {
            "/": {"GET": self.root},
            "/status": {"GET": self.status},
            "/endpoints": {"GET": self.endpoints},
            "/plugins/enabled": {"GET": self.enabled_plugins},
            "/debug/node/log-level": {"GET": self._level.show},
            "/debug/node/log-level/{level}": {"PUT": self._level.change},
            "/debug/cluster/control-planes-nodes/log-level/{level}": {"PUT": self._level.change},
            "/config": dict.fromkeys(("GET", "POST"), self.no_declarative_config),
        }

    def root(self, call: Call, _keys: tuple[str, ...]) -> Answer:
        """Version, role, plugins."""
        plane = self._control.control_planes.find(self._scope.control_plane_id)
        kinds = plugin_types()
        enabled = {row["name"] for row in self._all_plugins(call.site.scope) if row["enabled"]}
        return json_answer(
            200,
            {
                "version": ADMIN_VERSION,
                "edition": "community",
                "tagline": "twinplane control plane",
                "hostname": socket.gethostname(),
                "node_id": self._node_id,
                "pids": {"master": os.getpid(), "workers": []},
                "plugins": {
                    "available_on_server": {
                        name: {"version": kind.version, "priority": kind.priority} for name, kind in kinds.items()
                    },
                    "enabled_in_cluster": sorted(enabled),
                },
                "configuration": {
                    # Clients know two words only: `off` for DB-less, `postgres` for a node that can be written.
                    "database": "postgres",
                    "role": "control_plane",
                    "router_flavor": plane.router_flavor if plane else "traditional_compatible",
                    "loaded_plugins": dict.fromkeys(kinds, True),
                    "loaded_vaults": {"env": True},
                },
            },
        )

    def _all_plugins(self, scope: Scope) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        offset: str | None = None
        while True:
            page = self._control.changes.page(scope, "plugins", size=1000, offset=offset)
            rows.extend(page.rows)
            if page.offset is None:
                return rows
            offset = page.offset

    def status(self, call: Call, _keys: tuple[str, ...]) -> Answer:
        """Whether the store answers."""
        unit = call.request.query.first("unit")
        if unit is not None and unit not in _UNITS:
            return message(400, f"invalid unit '{unit}' (expected 'k/K', 'm/M', or 'g/G')")
        try:
            self._control.check()
            reachable = True
        except StoreError:
            reachable = False
        memory: dict[str, Any] = {"workers_lua_vms": [], "lua_shared_dicts": {}}
        return json_answer(200, {"database": {"reachable": reachable}, "memory": memory})

    def endpoints(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """Every path of this face."""
        return json_answer(200, {"data": self._templates()})

    def enabled_plugins(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """Every plugin that may be configured."""
        return json_answer(200, {"enabled_plugins": sorted(plugin_types())})

    def no_declarative_config(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """A control plane has a store; only a node without one takes a whole document."""
        return message(400, "this endpoint is only available when Kong is configured to not use a database")


class LogLevel:
    """The level of this process's log, which can be lowered for a while."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._before: int | None = None
        self._until = 0.0

    def show(self, _call: Call, _keys: tuple[str, ...]) -> Answer:
        """The level in force."""
        with self._lock:
            self._restore()
            return message(200, f"log level: {self._name()}")

    def change(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Another level for `timeout` seconds (60); 0 is for good."""
        name = keys[0]
        if name not in _LEVELS:
            return message(400, f"unknown log level: {name}")
        asked = parse_number(call.request.query.first("timeout") or "")
        timeout = _LEVEL_TIMEOUT_S if asked is None else min(float(asked), _TIMEOUT_S_MAX)
        if timeout < 0:
            return message(400, "timeout must be greater than or equal to 0")
        with self._lock:
            self._restore()
            if self._name() == name:
                return message(200, f"log level is already {name}")
            logger = self._logger
            self._before = None if timeout == 0 else (self._before if self._before is not None else logger.level)
            self._until = time.monotonic() + timeout
            logger.setLevel(_LEVELS[name])
            return message(200, "log level changed")

    def _restore(self) -> None:
        if self._before is not None and time.monotonic() >= self._until:
            self._logger.setLevel(self._before)
            self._before = None

    def _name(self) -> str:
        level = self._logger.getEffectiveLevel()
        return next((name for name, value in reversed(list(_LEVELS.items())) if value <= level), "debug")
