"""How long from an accepted change to the node that serves it, and how much memory does each process hold?"""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path
from typing import Any

from bench import processes
from bench.upstream import upstream

CHANGES = 100


def run(directory: Path) -> list[str]:
    """100 routes, one after another: accepted over the Admin API, then asked for until the node answers."""
    with upstream(directory) as up, processes.installation(directory) as ports:
        pids: Any = ports["pids"]
        idle = {name: processes.resident_mib(pid) for name, pid in pids.items()}
        admin = http.client.HTTPConnection("127.0.0.1", int(str(ports["admin_port"])))
        proxy = http.client.HTTPConnection("127.0.0.1", int(str(ports["proxy_port"])))
        put(admin, "/services/bench", {"url": f"http://127.0.0.1:{up.http}/"})
        taken = sorted(change(admin, proxy, number) for number in range(CHANGES))
    rows = [
        "| changes | p50 ms | p99 ms | longest ms |",
        "|---|---|---|---|",
        f"| {CHANGES} | {taken[CHANGES // 2]:.0f} | {taken[CHANGES * 99 // 100]:.0f} | {taken[-1]:.0f} |",
        "",
        "| process, idle | RSS MiB |",
        "|---|---|",
    ]
    rows.extend(f"| {name.replace('_', ' ')} | {mib:.0f} |" for name, mib in idle.items())
    return rows


def change(admin: http.client.HTTPConnection, proxy: http.client.HTTPConnection, number: int) -> float:
    """Milliseconds from the accepted write to the first answer by the new route."""
    put(admin, f"/services/bench/routes/r{number}", {"paths": [f"/change-{number:03}"]})
    accepted = time.perf_counter()
    while True:
        proxy.request("GET", f"/change-{number:03}")
        answer = proxy.getresponse()
        answer.read()
        if answer.status == 200:
            return (time.perf_counter() - accepted) * 1000
        if time.perf_counter() - accepted > 30:
            raise TimeoutError(f"change {number} never arrived")


def put(connection: http.client.HTTPConnection, path: str, body: dict[str, object]) -> None:
    """Make or replace an entity. Raises where it is refused."""
    connection.request("PUT", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"PUT {path}: {answer.status} {data!r}")
