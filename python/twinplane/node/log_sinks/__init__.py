"""Where log plugins deliver: one module a kind of sink, each of them read from the plugin's configuration.

A sink says how its entries wait (`limits`) and makes what sends them (`delivery`). The queue in front of it is one
concept for all: `node/log_queue.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twinplane.node.log_sinks.file import file_sink
from twinplane.node.log_sinks.http import http_sink
from twinplane.node.log_sinks.sink import Sink, Surroundings
from twinplane.node.log_sinks.syslog import syslog_sink
from twinplane.node.log_sinks.tcp import tcp_sink
from twinplane.node.log_sinks.udp import udp_sink

SINKS: Mapping[str, Callable[[Mapping[str, Any], Surroundings], Sink]] = {
    "http-log": http_sink,
    "file-log": file_sink,
    "udp-log": udp_sink,
    "tcp-log": tcp_sink,
    "syslog": syslog_sink,
}
"""How the configuration of a plugin is read, by its name."""

__all__ = ["SINKS", "Sink", "Surroundings"]
