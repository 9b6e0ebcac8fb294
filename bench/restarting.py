"""How long does a node that was killed take from its start to its first answer, while the control plane is away?"""

from __future__ import annotations

import http.client
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import orjson

from bench import configurations, processes
from bench.upstream import upstream
from twinplane.node.authority import self_signed
from twinplane.node.cache import ConfigCache, Stored
from twinplane.node.seal import read_keyring
from twinplane.node.sparse import complete_table

ROUTES = (1, 1_000, 50_000)
STARTS = 5


def run(directory: Path) -> list[str]:
    """A cache of each size, plain and sealed; the node is killed and started again."""
    rows = [
        "| routes | cache MiB | sealed | first answer s, median | longest | CPU s until then | RSS MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    with upstream(directory) as up:
        for count, seals in itertools.product(ROUTES, (False, True)):
            rows.append(_measure(directory / f"{count}-{seals}", up.http, count, seals=seals))
    return rows


def _measure(prefix: Path, upstream: int, count: int, *, seals: bool) -> str:
    prefix.mkdir()
    identity = self_signed("node", days=1, client=True)
    (prefix / "node.pem").write_text(identity.certificate)
    (prefix / "node.key").write_text(identity.key)
    document = {"_format_version": "3.0", **configurations.many_routes(upstream, count)}
    table = complete_table(orjson.dumps(document))
    ConfigCache(prefix, read_keyring([identity.key]), seals=seals).keep(Stored("0" * 31 + "1", table, 1, "bench"))
    size = (prefix / "config.json.gz").stat().st_size / 2**20
    port = processes.free_port()
    settings = {
        "role": "data_plane",
        "database": "off",
        "prefix": prefix,
        "cache_encryption": "on" if seals else "off",
        "cluster_mtls": "pki",
        "cluster_control_plane": "127.0.0.1:9",
        "cluster_telemetry_endpoint": "127.0.0.1:9",
        "cluster_cert": prefix / "node.pem",
        "cluster_cert_key": prefix / "node.key",
        "proxy_listen": f"127.0.0.1:{port}",
        "status_listen": "off",
        "nginx_worker_processes": 1,
    }
    (prefix / "kong.conf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
    taken, used, resident = zip(*(_start(prefix, port) for _ in range(STARTS)), strict=True)
    ordered = sorted(taken)
    cells = [count, f"{size:.1f}", "yes" if seals else "no", f"{ordered[STARTS // 2]:.2f}", f"{ordered[-1]:.2f}"]
    cells.append(f"{min(used):.2f}")
    return "| " + " | ".join(map(str, [*cells, f"{max(resident):.0f}"])) + " |"


def _start(prefix: Path, port: int) -> tuple[float, float, float]:
    """Seconds to the first answer of the route, CPU seconds until then, memory some time after; ends with a kill."""
    began = time.perf_counter()
    with (prefix / "log").open("wb") as log:
        node = subprocess.Popen(
            [sys.executable, "-m", "twinplane", "data-plane", "-c", str(prefix / "kong.conf")],
            stdout=log,
            stderr=log,
            env={name: value for name, value in os.environ.items() if not name.startswith("KONG_")},
        )
    try:
        while not _answers(port):
            if node.poll() is not None or time.perf_counter() - began > 120:
                raise RuntimeError((prefix / "log").read_text())
            time.sleep(0.005)
        taken = time.perf_counter() - began
        used = processes.cpu_seconds([node.pid])
        time.sleep(2)
        return taken, used, processes.resident_mib(node.pid)
    finally:
        node.kill()
        node.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/bench", headers={"Host": "bench.example"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
