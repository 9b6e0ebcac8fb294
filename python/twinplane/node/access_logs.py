"""The access logs of a node: that of the proxy, whose lines the core makes, and those of the node's own ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from twinplane.node.access_lines import AccessLines
from twinplane.node.access_log import AccessLog
from twinplane.node.conditions import Conditions
from twinplane.node.metrics import Sample
from twinplane.settings import NodeSettings

if TYPE_CHECKING:
    from twinplane.node.tasks import Work

PORTS = ("status", "admin")


class AccessLogs:
    """Each access log that the settings ask for."""

    def __init__(
        self, settings: NodeSettings, prefix: Path, drain: Callable[[], bytes], conditions: Conditions
    ) -> None:
        """`drain` takes the lines of requests that were proxied."""
        lines_max = settings["proxy_access_log_lines"]
        asked = [port for port in PORTS if settings[f"{port}_access_log"] is not None]
        self.of_ports: Mapping[str, AccessLines] = {port: AccessLines(lines_max) for port in asked}
        """Where the ports leave their lines, by port."""
        self._proxy: AccessLog | None = None
        if settings["proxy_access_log"] is not None:
            path = prefix / settings["proxy_access_log"].path
            self._proxy = AccessLog(drain, path, conditions)
        self._ports = {
            port: AccessLog(lines.take, prefix / settings[f"{port}_access_log"], conditions, f"{port}_access_log")
            for port, lines in self.of_ports.items()
        }

    def tasks(self) -> list[Work]:
        """What writes them until it is cancelled."""
        return [log.run for log in self._all()]

    def close(self) -> None:
        """Write what there is for the last time."""
        for log in self._all():
            log.close()

    def samples(self) -> Iterator[Sample]:
        """What was lost, where there is a log."""
        if self._proxy is not None:
            yield Sample("twinplane_access_log_bytes_lost_total", "counter", {}, self._proxy.bytes_lost)
        for port, log in self._ports.items():
            yield Sample("twinplane_port_access_log_bytes_lost_total", "counter", {"port": port}, log.bytes_lost)
        for port, lines in self.of_ports.items():
            yield Sample("twinplane_port_access_log_lines_lost_total", "counter", {"port": port}, lines.lost)

    def _all(self) -> Iterator[AccessLog]:
        if self._proxy is not None:
            yield self._proxy
        yield from self._ports.values()
