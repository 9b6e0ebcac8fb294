"""How many user instructions and system calls does a request take? Both repeat, also on a busy machine."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from bench import configurations, peers, processes
from bench.effort import Effort
from bench.load import Load, h2load
from bench.upstream import SIZES, Upstream, upstream

# A run under callgrind of so many requests, and one of five times as many: the difference is what requests take.
REQUESTS = {1: 40, 2: 100, 3: 200}
FULL_SET = "full set"
_KEYED = Load(headers=(f"apikey: {configurations.KEY}",))
ASKED: dict[str, Load] = {
    "HTTP/1.1": Load(),
    "TLS": Load("tls"),
    "HTTP/2": Load("h2"),
    "h2c": Load("h2c"),
    "64 KiB down": Load(path=f"/bytes/{SIZES['64 KiB']}"),
    "64 KiB up": Load(path="/drop", body_bytes=SIZES["64 KiB"]),
}
_Start = Callable[[Path, tuple[str, ...]], AbstractContextManager[processes.Proxy]]


def run(directory: Path, effort: Effort) -> list[str]:
    """nginx and a node, first under callgrind, then watched by strace."""
    for program in ("valgrind", "strace"):
        if shutil.which(program) is None:
            return [f"{program} is needed to count (Debian: apt-get install {program})"]
    requests = REQUESTS[effort.rounds]
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with upstream(directory) as up:
        for number, (name, start, loads) in enumerate(_subjects(up)):
            for way, count in (("callgrind", _instructions), ("strace", _system_calls)):
                home = directory / f"{number}-{way}"
                home.mkdir()
                for asked, each in count(home, start, loads, requests):
                    found[asked, name].append(each)
    rows = ["| asked | of | user instructions | x nginx | system calls |", "|---|---|---|---|---|"]
    for asked in (*ASKED, FULL_SET):
        for name in ("nginx", "twinplane"):
            if (asked, name) not in found:
                continue
            instructions, calls = found[asked, name]
            peer = found.get((asked, "nginx")) or found["HTTP/1.1", "nginx"]
            rows.append(
                f"| {asked} | {name} | {round(instructions, -2):.0f} | {instructions / peer[0]:.2f} | {calls:.2f} |"
            )
    return rows


def _subjects(up: Upstream) -> list[tuple[str, _Start, dict[str, Load]]]:
    def node(configuration: dict[str, object]) -> _Start:
        return lambda home, wrapped: processes.node(home, configuration, wrapped=wrapped)

    return [
        ("nginx", lambda home, wrapped: peers.nginx_proxy(home, up, wrapped=wrapped), ASKED),
        ("twinplane", node(configurations.streamed(up.http)), ASKED),
        ("twinplane", node(configurations.full(up.http)), {FULL_SET: _KEYED}),
    ]


def _instructions(home: Path, start: _Start, loads: dict[str, Load], requests: int) -> Iterator[tuple[str, float]]:
    """Of the thread that serves requests; what Python does each second is not a request's."""
    out = home / "callgrind.out"
    options = ("--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", f"--callgrind-out-file={out}.%p")
    with start(home, ("valgrind", *options)) as proxy:
        pid = proxy.pids[0]
        _callgrind(pid, "--instr=on")
        for asked, load in loads.items():
            h2load(proxy, load, 50)
            counted = []
            for count in (requests, 5 * requests):
                _callgrind(pid, "--zero")
                if failed := h2load(proxy, load, count):
                    raise RuntimeError(f"{failed} requests failed: {asked}")
                counted.append(max(map(_total, _dumped(pid, home, f"{out.name}.{pid}.*"))))
            yield asked, (counted[1] - counted[0]) / (4 * requests)


def _system_calls(home: Path, start: _Start, loads: dict[str, Load], requests: int) -> Iterator[tuple[str, float]]:
    """Of all threads."""
    with start(home, ()) as proxy:
        for asked, load in loads.items():
            h2load(proxy, load, 50)
            out = home / "strace.out"
            pids = [word for pid in proxy.pids for word in ("-p", str(pid))]
            strace = subprocess.Popen(["strace", "-f", "-c", "-o", str(out), *pids], stderr=subprocess.PIPE, text=True)
            assert strace.stderr is not None
            strace.stderr.readline()  # It says when it is attached.
            h2load(proxy, load, 10 * requests)
            strace.send_signal(signal.SIGINT)
            strace.wait(60)
            strace.stderr.close()
            yield asked, _calls(out) / (10 * requests)


def _calls(out: Path) -> int:
    """Calls that a request makes: sending, receiving and waiting, not what threads do among themselves."""
    of_requests = r"(writev?|readv?|send\w*|recv\w*|epoll_\w*|getsockopt|setsockopt|ioctl|sendfile)"
    found = re.findall(rf"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?{of_requests}$", out.read_text(), re.MULTILINE)
    return sum(int(calls) for calls, _ in found)


def _callgrind(pid: int, command: str) -> None:
    subprocess.run(["callgrind_control", command, str(pid)], capture_output=True, check=True)


def _dumped(pid: int, directory: Path, pattern: str) -> list[Path]:
    """The files that callgrind writes when it is told to, one for each thread."""
    before = set(directory.glob(pattern))
    _callgrind(pid, "--dump")
    deadline, sizes = time.monotonic() + 60, -1
    while time.monotonic() < deadline:
        time.sleep(0.2)
        new = set(directory.glob(pattern)) - before
        if new and sizes == (sizes := sum(each.stat().st_size for each in new)):
            return list(new)
    raise TimeoutError("callgrind wrote nothing")


def _total(file: Path) -> int:
    found = re.search(r"^totals: (\d+)", file.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0
