"""Mixed traffic on one core for a while: `python -m tests.hardness.soak --seconds 180` (1800 is the full length).

Keep-alive HTTP/1.1, TLS, HTTP/2, gRPC, WebSocket, malformed requests and slow clients, with a change of configuration
each second, and upstreams that are restarted. Every answer is compared with what was asked; in the end memory,
descriptors and counters are. Clients and upstreams are a process of their own, so that what is measured is the core's.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.hardness.gateway import Started, counts_of, declared, one_route, started
from tests.hardness.soak_clients import CALLS_HOST, Ports, Tally, Upstreams, clients

_PLUGINS = (
    {"name": "correlation-id", "config": {"header_name": "X-Correlation"}},
    {"name": "cors"},
    {"name": "rate-limiting", "config": {"minute": 100_000_000, "policy": "local"}},
    {"name": "response-transformer", "config": {"add": {"headers": ["X-Added:1"]}}},
)
_GROWTH = 1.05
_GROWTH_BYTES = 16 * 1024 * 1024
_DESCRIPTORS = 5
_SETTLE_S = 20.0
_PATIENCE_S = 120.0
# A shorter run is over before every cache and pool has its size: its memory is told, not judged.
_JUDGED_S = 60.0


def resident() -> int:
    """Bytes of this process in memory: the core, and the interpreter around it."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """Open descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def settled(idle: int) -> int:
    """Descriptors, once they are about as many as when idle."""
    end = time.monotonic() + _SETTLE_S
    while abs(descriptors() - idle) > _DESCRIPTORS and time.monotonic() < end:
        time.sleep(0.1)
    return descriptors()


def told(door: Connection) -> object:
    """What the other process says; it may not keep silent for ever."""
    if not door.poll(_PATIENCE_S):
        raise TimeoutError("the clients say nothing")
    return door.recv()


def changed(node: Started, tables: list[bytes], seconds: float) -> list[int]:
    """Apply one configuration after the other; the memory after each."""
    samples: list[int] = []
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        node.core.apply(tables[len(samples) % len(tables)])
        for kind in ("logs", "records", "usage"):
            node.core.drain(kind)
        samples.append(resident())
        time.sleep(1)
    return samples


def config(upstreams: Upstreams, *plugins: Mapping[str, Any]) -> dict[str, Any]:
    """Everything goes to the upstream that stays; what is meant for the others goes there."""

    def service(name: str, route: Mapping[str, Any], **own: Any) -> dict[str, Any]:
        return {"name": name, "retries": 5, "routes": [{"name": name, "strip_path": False, **route}], **own}

    call = {"protocols": ["grpc", "grpcs"], "hosts": [CALLS_HOST], "paths": ["/"]}
    found = one_route(upstreams.steady, *plugins)
    found["services"] += [
        service("restarted", {"paths": ["/restarted"]}, host="requests.pair"),
        service("calls", call, host="calls.pair", protocol="grpc"),
        service("chat", {"paths": ["/chat"]}, url=f"http://127.0.0.1:{upstreams.websockets.port}"),
    ]
    found["upstreams"] = [
        {"name": f"{name}.pair", "targets": [{"target": f"127.0.0.1:{place.port}"} for place in places]}
        for name, places in (("requests", upstreams.requests), ("calls", upstreams.calls))
    ]
    return found


def percentiles(took_s: Sequence[float]) -> list[str]:
    """Within what time 99 of 100 requests were answered, in each third of the run, in milliseconds."""
    third = max(len(took_s) // 3, 1)
    parts = [sorted(took_s[at * third : (at + 1) * third]) for at in range(3)]
    return [f"{part[len(part) * 99 // 100] * 1_000:.1f}" for part in parts if part]


def soak(seconds: float) -> int:
    """Run, tell what was found, say by the exit code whether it was good."""
    context = multiprocessing.get_context("spawn")
    door, far = context.Pipe()
    others = context.Process(target=clients, args=(far,), daemon=True)
    others.start()
    # Theirs alone, so that it ends with them.
    far.close()
    upstreams = told(door)
    assert isinstance(upstreams, Upstreams)
    configs = [config(upstreams, *_PLUGINS[:count]) for count in range(len(_PLUGINS), 0, -1)]
    tables = [declared(config) for config in configs]
    with started(configs[0]) as node:
        door.send(Ports(*node.ports, node.leaf.certificate))
        told(door)
        # The upstream has hung up, so nothing is open but what always is.
        idle = settled(descriptors())
        door.send(None)
        samples = changed(node, tables, seconds)
        door.send(None)
        tally = told(door)
        assert isinstance(tally, Tally)
        counts = counts_of(node.core)
        total, open_now = sum(tally.answers.values()) + len(tally.wrong), settled(idle)
        faults = list(tally.wrong[:10])
        if counts["requests_total"] != total:
            faults.append(f"{counts['requests_total']} requests counted, {total} seen")
        if abs(open_now - idle) > _DESCRIPTORS:
            faults.append(f"{open_now} descriptors, {idle} when idle")
        called_off = sum(count for name, count in tally.answers.items() if "called off" in name)
        if called_off > tally.restarts:
            faults.append(f"{called_off} calls called off by {tally.restarts} restarts")
        if counts["invariant_broken"]:
            faults.append(f"{counts['invariant_broken']} invariants broken")
    others.join(_PATIENCE_S)
    # The first third is warm-up; what comes after it should stay where it is.
    third = len(samples) // 3
    warm, grown = (int(statistics.median(samples[third * at :][: third or 1])) for at in (1, 2))
    if seconds >= _JUDGED_S and grown > max(warm * _GROWTH, warm + _GROWTH_BYTES):
        faults.append(f"memory grew from {warm} to {grown} bytes")
    print(f"{total} requests in {seconds:.0f} s, {len(samples)} configurations, {tally.restarts} restarts of upstreams")
    print(f"{dict(tally.answers)}")
    print(f"99 of 100 plain requests within {', then '.join(percentiles(tally.took_s))} ms, third by third")
    print(f"memory {warm >> 20} -> {grown >> 20} MiB (last {samples[-1] >> 20}), descriptors {idle} -> {open_now}")
    print(f"{len(tally.wrong)} wrong answers, faults: {faults or 'none'}")
    return 1 if faults else 0


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    with contextlib.suppress(KeyboardInterrupt):
        return soak(parser.parse_args().seconds)
    return 130


if __name__ == "__main__":
    sys.exit(main())
