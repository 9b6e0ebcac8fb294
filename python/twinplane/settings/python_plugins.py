"""The settings of a node about plugins in Python."""

from __future__ import annotations

from twinplane.settings.setting import LIST, PATH, SWITCH, Setting, integer, one_of

PLUGINS = Setting(
    "plugins",
    LIST,
    "bundled",
    "Plugins that configurations may name: bundled, and the names of installed plugins in Python (entry points of the "
    "group twinplane.plugins). All bundled ones are always there.",
)

_DIRECTORY = (
    "Directory with plugins in Python, each a file or a folder of its name. Those that `plugins` names are looked for "
    "here before they are looked for among what is installed."
)
PLUGIN_DIRECTORY = Setting("python-plugin-directory", PATH, "", _DIRECTORY)

PYTHON_PLUGINS: tuple[Setting, ...] = (
    PLUGINS,
    Setting("python_plugin_directory", PATH, "", _DIRECTORY),
    Setting(
        "python_plugin_lua_style",
        SWITCH,
        "on",
        "Whether calls that plugins written for Kong's Python PDK make give a value and an error, as there; off: what "
        "goes wrong is raised.",
    ),
    Setting(
        "python_plugin_threads",
        integer(1, 64),
        "4",
        "Threads that call plugins in Python. One runs at a time; the others take over where it waits for something.",
    ),
    Setting(
        "python_plugin_queue",
        integer(1, 1_000_000, unit="calls"),
        "1000",
        "Calls that may wait for a thread, and coroutines of plugins that may be under way; over that, requests fail.",
    ),
    Setting(
        "python_plugin_timeout",
        integer(1, 600_000, unit="milliseconds"),
        "1000",
        "How long a phase of a plugin in Python may take, waiting included, unless the plugin says otherwise.",
    ),
    Setting(
        "python_plugin_failure",
        one_of("fail_closed", "fail_open"),
        "fail_closed",
        "What becomes of a request whose plugin in Python raises or is late, unless the plugin says otherwise: 500, or "
        "it passes as if the plugin were not there.",
    ),
    Setting(
        "python_plugin_response",
        integer(1, 1_073_741_824, unit="bytes"),
        "8388608",
        "How much of a response is held back for plugins in Python that want it whole, unless the plugin says "
        "otherwise; over that, it is refused with 502, or passes without the plugin where that fails open.",
    ),
    Setting(
        "python_plugin_response_max",
        integer(1, 1_073_741_824, unit="bytes"),
        "67108864",
        "The most that is held back of a response for a plugin in Python, whatever the plugin says.",
    ),
    Setting(
        "python_plugin_http_connections",
        integer(1, 10_000),
        "100",
        "Connections that requests of plugins in Python to other servers may have, all together.",
    ),
    Setting(
        "python_plugin_http_response",
        integer(1, 1_073_741_824, unit="bytes"),
        "8388608",
        "How long the answer to a request of a plugin in Python may be.",
    ),
    Setting(
        "python_plugin_log_queue",
        integer(1, 10_000_000, unit="entries"),
        "10000",
        "Entries kept for the log phase of plugins in Python; over that, the oldest are lost and counted.",
    ),
)
