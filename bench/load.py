"""Drives load with wrk (HTTP/1.1) and h2load (HTTP/2, gRPC) and relates it to the CPU that the proxy used."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.processes import LOAD_CPU, Proxy, cpu_seconds, pinned
from bench.upstream import GRPC_MESSAGE

# Requests in flight. HTTP/2 has them as streams of fewer connections.
CONNECTIONS = 64
H2_CONNECTIONS, H2_STREAMS = 16, 4
Protocol = Literal["http", "tls", "h2", "h2c", "grpc"]
GRPC_HEADERS = ("content-type: application/grpc", "te: trailers")
_NEEDED = {"wrk": "wrk", "h2load": "nghttp2-client", "nghttp": "nghttp2-client"}


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a proxy again and again. A body is sent where it has bytes."""

    protocol: Protocol = "http"
    path: str = "/"
    headers: tuple[str, ...] = ()
    body_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: requests a second, CPU microseconds per request, p99 in milliseconds, requests that failed."""

    rate: float
    cpu_us: float
    p99_ms: float
    failed: int


def drive(proxy: Proxy, load: Load, seconds: int, *, warms: bool = True) -> Measured:
    """Ask over kept connections for some seconds, after a second that does not count."""
    run = _wrk if load.protocol in {"http", "tls"} else _h2load
    with tempfile.TemporaryDirectory(prefix="twinplane-load-") as directory:
        if warms:
            run(proxy, load, 1, Path(directory))
        before = cpu_seconds(proxy.pids)
        requests, rate, p99_ms, failed = run(proxy, load, seconds, Path(directory))
        used = cpu_seconds(proxy.pids) - before
    return Measured(rate, used / max(1, requests) * 1e6, p99_ms, failed)


def paced(proxy: Proxy, load: Load, rate: float, seconds: int) -> list[int]:
    """Ask so often a second, at even times; microseconds that each answer took, sorted. A failure took for ever."""
    with tempfile.TemporaryDirectory(prefix="twinplane-load-") as directory:
        log = Path(directory) / "requests.log"
        words = [f"-c{CONNECTIONS}", f"-D{seconds}", "--warm-up-time=1", f"--rps={rate / CONNECTIONS:.1f}"]
        words += ["--h1", f"--log-file={log}", *_header_options(load)]
        subprocess.run(pinned(LOAD_CPU, program("h2load"), *words, _url(proxy, load)), capture_output=True, check=True)
        lines = [line.split() for line in log.read_text().splitlines()]
    return sorted(int(taken) if status == "200" else sys.maxsize for _, status, taken in lines)


def median(runs: list[Measured]) -> Measured:
    """The run whose CPU per request lies in the middle, with the failures of all."""
    middle = sorted(runs, key=lambda run: run.cpu_us)[len(runs) // 2]
    return Measured(middle.rate, middle.cpu_us, middle.p99_ms, sum(run.failed for run in runs))


def refusal(proxy: Proxy, load: Load) -> str:
    """Why this cannot be asked of the proxy, or nothing: an answer that only looks fast is none."""
    if load.protocol not in proxy.ports:
        return "not supported"
    if load.protocol in {"http", "tls"}:
        return ""
    program("nghttp")
    with tempfile.TemporaryDirectory(prefix="twinplane-load-") as directory:
        words = [*_data(load, Path(directory)), *_header_options(load)]
        command = ["nghttp", "-v", "-y", "--timeout=5", *words, _url(proxy, load)]
        seen = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    if not re.search(r":status(?:\x1b\[\d*m)?: 200", seen):
        return "not supported"
    if load.protocol == "grpc" and not re.search(r"grpc-status(?:\x1b\[\d*m)?: 0", seen):
        return "no trailers"
    return ""


def h2load(proxy: Proxy, load: Load, requests: int, connections: int = 4) -> int:
    """Ask exactly so often, over any protocol; how many requests failed."""
    with tempfile.TemporaryDirectory(prefix="twinplane-load-") as directory:
        words = [*_data(load, Path(directory)), *_header_options(load)]
        version = ["--h1"] if load.protocol in {"http", "tls"} else []
        command = [program("h2load"), *version, f"-n{requests}", f"-c{connections}", *words, _url(proxy, load)]
        done = subprocess.run(pinned(LOAD_CPU, *command), capture_output=True, text=True, check=True)
    return requests - int(_number(r"status codes: (\d+) 2xx", done.stdout))


def _wrk(proxy: Proxy, load: Load, seconds: int, directory: Path) -> tuple[int, float, float, int]:
    script = directory / "body.lua"
    if load.body_bytes:
        script.write_text(f'wrk.method = "POST"\nwrk.body = string.rep("x", {load.body_bytes})\n')
    words = ["-t1", f"-c{CONNECTIONS}", "--latency", f"-d{seconds}s", *_header_options(load)]
    words += ["-s", str(script)] if load.body_bytes else []
    command = pinned(LOAD_CPU, program("wrk"), *words, _url(proxy, load))
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    failed = int(_number(r"Non-2xx or 3xx responses: (\d+)", said))
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    failed += sum(map(int, errors.groups())) if errors else 0
    requests = int(_number(r"(\d+) requests in", said))
    return requests, _number(r"Requests/sec:\s+([\d.]+)", said), _p99_ms(said), failed


def _h2load(proxy: Proxy, load: Load, seconds: int, directory: Path) -> tuple[int, float, float, int]:
    log = directory / "requests.log"
    log.unlink(missing_ok=True)
    words = [f"-c{H2_CONNECTIONS}", f"-m{H2_STREAMS}", f"-D{seconds}", f"--log-file={log}"]
    words += [*_data(load, directory), *_header_options(load)]
    command = pinned(LOAD_CPU, program("h2load"), *words, _url(proxy, load))
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Each line: when it began, its status, how long it took in microseconds.
    taken = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
    done = int(_number(r"(\d+) done", said))
    succeeded = int(_number(r"status codes: (\d+) 2xx", said))
    p99_ms = taken[len(taken) * 99 // 100] / 1000 if taken else 0.0
    return done, done / seconds, p99_ms, done - succeeded


def program(name: str) -> str:
    """Where a program of the load lies."""
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is needed for load (Debian: apt-get install {_NEEDED[name]})")
    return found


def _url(proxy: Proxy, load: Load) -> str:
    scheme = "https" if load.protocol in {"tls", "h2"} else "http"
    return f"{scheme}://127.0.0.1:{proxy.ports[load.protocol]}{load.path}"


def _header_options(load: Load) -> list[str]:
    headers = (*load.headers, *(GRPC_HEADERS if load.protocol == "grpc" else ()))
    return [word for header in headers for word in ("-H", header)]


def _data(load: Load, directory: Path) -> list[str]:
    content = GRPC_MESSAGE if load.protocol == "grpc" else b"x" * load.body_bytes
    if not content:
        return []
    (directory / "data").write_bytes(content)
    return ["-d", str(directory / "data")]


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found[1]) if found else 0.0


def _p99_ms(text: str) -> float:
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]] if found else 0.0
