"""Drives load with wrk and relates it to the CPU time that the proxy used meanwhile."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

from bench.processes import LOAD_CPU, Proxy, cpu_seconds, pinned

CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: requests a second, CPU microseconds per request, p99 in milliseconds, requests that failed."""

    rate: float
    cpu_us: float
    p99_ms: float
    failed: int


def drive(proxy: Proxy, path: str = "/", seconds: int = 6, headers: tuple[str, ...] = ()) -> Measured:
    """Load `path` over kept connections for some seconds."""
    if shutil.which("wrk") is None:
        raise FileNotFoundError("wrk is needed for load (Debian: apt-get install wrk)")
    options = [word for header in headers for word in ("-H", header)]
    base = ["wrk", "-t1", f"-c{CONNECTIONS}", "--latency", *options]
    url = f"http://127.0.0.1:{proxy.port}{path}"
    subprocess.run(pinned(LOAD_CPU, *base, "-d1s", url), capture_output=True, check=True)
    before = cpu_seconds(proxy.pids)
    done = subprocess.run(pinned(LOAD_CPU, *base, f"-d{seconds}s", url), capture_output=True, text=True, check=True)
    used = cpu_seconds(proxy.pids) - before
    requests = int(_number(r"(\d+) requests in", done.stdout))
    failed = int(_number(r"Non-2xx or 3xx responses: (\d+)", done.stdout))
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", done.stdout)
    failed += sum(map(int, errors.groups())) if errors else 0
    return Measured(
        _number(r"Requests/sec:\s+([\d.]+)", done.stdout), used / max(1, requests) * 1e6, _p99_ms(done.stdout), failed
    )


def median(runs: list[Measured]) -> Measured:
    """The run whose CPU per request lies in the middle, with the failures of all."""
    middle = sorted(runs, key=lambda run: run.cpu_us)[len(runs) // 2]
    return Measured(middle.rate, middle.cpu_us, middle.p99_ms, sum(run.failed for run in runs))


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found[1]) if found else 0.0


def _p99_ms(text: str) -> float:
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]] if found else 0.0
