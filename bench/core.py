"""A core of its own process, whose configuration is swapped from outside: for questions on tables."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from bench.processes import PROXY_CPU, Proxy, free_port


@contextmanager
def started_core(
    tables: list[Path], flavor: str = "traditional_compatible"
) -> Iterator[tuple[Proxy, Callable[[int], None]]]:
    """A proxy with the first table, and a function that puts another one in force."""
    port = free_port()
    # A core must never be forked once it has started.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, port, tables, flavor), daemon=True)
    process.start()
    theirs.close()
    if ours.recv() != "ready":
        raise RuntimeError("the core did not start")

    def apply(number: int) -> None:
        ours.send(number)
        ours.recv()

    try:
        assert process.pid is not None
        yield Proxy("twinplane core", {"http": port}, [process.pid]), apply
    finally:
        ours.send(None)
        process.join(20)


def _run(pipe: Connection, port: int, tables: list[Path], flavor: str) -> None:
    import orjson  # noqa: PLC0415 - loaded in the core's process only

    from twinplane._dataplane import Core  # noqa: PLC0415, TID251
    from twinplane.node.authority import self_signed  # noqa: PLC0415
    from twinplane.node.core_settings import edge_core_settings  # noqa: PLC0415
    from twinplane.settings import Listener  # noqa: PLC0415

    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {int(PROXY_CPU)})
    identity = self_signed("localhost", days=1, client=False)
    settings = orjson.loads(edge_core_settings([Listener("127.0.0.1", port)], 1, identity, (), 0))
    core = Core.start(orjson.dumps({**settings, "edge": None, "router_flavor": flavor}), tables[0].read_bytes())
    pipe.send("ready")
    while (number := pipe.recv()) is not None:
        core.apply(tables[number].read_bytes())
        pipe.send("applied")
    core.stop(1000)
