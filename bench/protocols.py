"""What does a request cost over each protocol: HTTP/1.1, TLS, HTTP/2 with and without TLS, gRPC?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import configurations, processes
from bench.effort import Effort
from bench.load import Load, Protocol
from bench.peers import peers
from bench.table import Case, side_by_side
from bench.upstream import Upstream, upstream

ASKED: dict[str, Protocol] = {"HTTP/1.1": "http", "TLS": "tls", "HTTP/2": "h2", "h2c": "h2c", "gRPC": "grpc"}


def run(directory: Path, effort: Effort) -> list[str]:
    """1 KiB over kept connections; HTTP/1.1 towards the upstream but for gRPC."""
    with (
        upstream(directory) as up,
        peers(directory, up) as others,
        processes.node(directory, configurations.plain(up.http)) as ours,
        _grpc_node(directory, up) as grpc,
    ):
        cases = [
            Case(asked, name, proxy, Load(protocol))
            for asked, protocol in ASKED.items()
            for name, proxy in [*others.items(), ("twinplane", grpc if protocol == "grpc" else ours)]
        ]
        return side_by_side(cases, effort)


@contextmanager
def _grpc_node(directory: Path, up: Upstream) -> Iterator[processes.Proxy]:
    """A node of its own, so that a refused configuration costs that one row."""
    started = processes.node(directory, configurations.grpc(up.h2c), "grpc")
    try:
        proxy = started.__enter__()
    except processes.NotServing:
        yield processes.Proxy("twinplane", {}, [])
        return
    try:
        yield proxy
    finally:
        started.__exit__(None, None, None)
