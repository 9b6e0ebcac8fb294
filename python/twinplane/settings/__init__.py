"""Every setting of a process, declared once: `kong.conf`, `KONG_*`, command lines and `TWINPLANE_*`.

Parsed and checked whole before any port is opened; every mistake is told at once.
"""

from twinplane.settings.control_plane import CONTROL_PLANE, UP, ProcessSettings, load_process_settings
from twinplane.settings.listeners import Listener, read_listeners
from twinplane.settings.node import SETTINGS as NODE
from twinplane.settings.node import NodeSettings, load_node_settings
from twinplane.settings.reloading import left_out
from twinplane.settings.setting import Mistake, Setting, SettingsError

__all__ = [
    "CONTROL_PLANE",
    "NODE",
    "UP",
    "Listener",
    "Mistake",
    "NodeSettings",
    "ProcessSettings",
    "Setting",
    "SettingsError",
    "left_out",
    "load_node_settings",
    "load_process_settings",
    "read_listeners",
]
