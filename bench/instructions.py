"""How many user instructions and system calls does a request take? Both repeat, also on a busy machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench import configurations, peers, processes
from bench.effort import Effort
from bench.load import Load, h2load
from bench.upstream import SIZES, Upstream, upstream

WARM, FEW, CONNECTIONS = 100, 400, 4
_KEYED = Load(headers=(f"apikey: {configurations.KEY}",))
ASKED: dict[str, Load] = {
    "HTTP/1.1": Load(),
    "TLS": Load("tls"),
    "HTTP/2": Load("h2"),
    "h2c": Load("h2c"),
    "1 MiB down": Load(path=f"/bytes/{SIZES['1 MiB']}"),
    "64 KiB up": Load(path="/drop", body_bytes=SIZES["64 KiB"]),
}


@dataclass(frozen=True, slots=True)
class Counted:
    """What one request takes."""

    instructions: float
    system_calls: float


def run(directory: Path, effort: Effort) -> list[str]:
    """nginx, HAProxy and a node under callgrind, then under strace: the difference of two runs of different length."""
    requests = FEW * effort.rounds
    rows = ["| asked | of | instructions | x nginx | system calls |", "|---|---|---|---|---|"]
    with upstream(directory) as up:
        found: dict[tuple[str, str], Counted] = {}
        for name, start, loads in _subjects(directory, up):
            found |= {(asked, name): each for asked, each in _count(directory, name, start, loads, requests).items()}
    for asked, name in sorted(found, key=lambda each: list(_ALL).index(each[0])):
        counted = found[asked, name]
        beside = found.get((asked, "nginx")) or found.get(("HTTP/1.1", "nginx"))
        ratio = f"{counted.instructions / beside.instructions:.2f}" if beside else ""
        rows.append(f"| {asked} | {name} | {counted.instructions:.0f} | {ratio} | {counted.system_calls:.2f} |")
    return rows


_ALL = (*ASKED, "full set")
type _Start = Callable[[Path, tuple[str, ...]], AbstractContextManager[processes.Proxy]]


def _subjects(directory: Path, up: Upstream) -> list[tuple[str, _Start, dict[str, Load]]]:
    def node(configuration: dict[str, object]) -> _Start:
        return lambda home, wrapped: processes.node(home, configuration, wrapped=wrapped)

    return [
        ("nginx", lambda home, wrapped: peers.nginx_proxy(home, up, wrapped=wrapped), ASKED),
        ("haproxy", lambda home, wrapped: peers.haproxy(home, up, wrapped=wrapped), ASKED),
        ("twinplane", node(configurations.streamed(up.http)), ASKED),
        ("twinplane", node(configurations.full(up.http)), {"full set": _KEYED}),
    ]
