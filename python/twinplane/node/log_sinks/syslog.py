"""The system log of the machine: entries go to its socket with the plugin's facility and a severity of their own."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinplane.node.log_queue import QueueLimits
from twinplane.node.log_sinks.sink import Surroundings, send_each

# Rules of system logs sort by this name.
_IDENT = "kong"
_TIMEOUT_S = 5.0
_SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
_FACILITIES = {
    **{name: number for number, name in enumerate(("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news"))},
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    **{f"local{number}": 16 + number for number in range(8)},
}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HEAD, _MESSAGE = b'{"severity":"', b'","message":'


@dataclass(frozen=True, slots=True)
class SyslogSink:
    """Where and how one `syslog` plugin writes."""

    path: Path
    facility: str = "user"
    limits: QueueLimits = field(default_factory=QueueLimits)

    def delivery(self) -> SyslogDelivery:
        """What writes to the socket."""
        return SyslogDelivery(self)


def syslog_sink(config: Mapping[str, Any], surroundings: Surroundings) -> SyslogSink:
    """The sink that the configuration of a `syslog` plugin describes."""
    return SyslogSink(surroundings.syslog_socket, config.get("facility") or "user", surroundings.plain_limits(1))


class SyslogDelivery:
    """Writes entries to the socket of the system log, whether it takes datagrams or a stream."""

    def __init__(self, sink: SyslogSink) -> None:
        self._sink = sink
        self._facility = _FACILITIES[sink.facility]
        self._socket: socket.socket | None = None

    def __call__(self, batch: list[bytes]) -> int:
        """Write each entry. One that the socket cannot hold is never taken."""
        return send_each(batch, self._send, self.close, sink="syslog")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, entry: bytes) -> None:
        severity, message = _parted(entry)
        line = f"<{self._facility * 8 + severity}>{_now()} {_IDENT}[{os.getpid()}]: ".encode() + message
        opened = self._opened()
        # In a stream a NUL tells where a message ends.
        opened.sendall(line if opened.type == socket.SOCK_DGRAM else line + b"\0")

    def _opened(self) -> socket.socket:
        if self._socket is None:
            try:
                self._socket = self._connected(socket.SOCK_DGRAM)
            except OSError as error:
                if error.errno != errno.EPROTOTYPE:
                    raise
                self._socket = self._connected(socket.SOCK_STREAM)
        return self._socket

    def _connected(self, kind: socket.SocketKind) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, kind)
        made.settimeout(_TIMEOUT_S)
        try:
            made.connect(str(self._sink.path))
        except OSError:
            made.close()
            raise
        return made


def _parted(entry: bytes) -> tuple[int, bytes]:
    """The severity as a number and the message, as the core puts them together."""
    head, _, message = entry.partition(_MESSAGE)
    return _SEVERITIES.index(head.removeprefix(_HEAD).decode("ascii", "replace")), message[:-1]


def _now() -> str:
    """The local time as system logs have it, whatever the locale."""
    now = time.localtime()
    return f"{_MONTHS[now.tm_mon - 1]} {now.tm_mday:2d} {now.tm_hour:02d}:{now.tm_min:02d}:{now.tm_sec:02d}"
