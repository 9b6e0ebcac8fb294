"""Many simulated nodes in one process: real sockets, real TLS, the link as nodes speak it; nothing is applied.

`python -m bench.fleet_nodes SETTINGS`: settings as JSON. Prints a line of JSON for whatever a node goes through.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
import uuid
from functools import lru_cache
from typing import Any

from twinplane.hybrid.delta import decode_delta, is_delta
from twinplane.hybrid.dial import Dialer, Endpoint, LinkTls
from twinplane.hybrid.errors import LinkError
from twinplane.hybrid.frames import BINARY
from twinplane.hybrid.table import split_rows
from twinplane.hybrid.wire import (
    CONFIG_PATH,
    Applied,
    BasicInfo,
    NodeQuery,
    connect_path,
    encode_applied,
    encode_basic_info,
    inflate,
    ping_payload,
    read_reconfigure,
)
from twinplane.registry import plugin_types

PING_S = 30.0
RECONNECT_S = (5.0, 10.0)
BYTES_MAX = 1 << 30


@lru_cache(maxsize=4)
def read(frame: bytes, takes_deltas: bool) -> tuple[str, Applied]:
    """What a frame is, and what a node says after it. Nodes of one process are sent the same: read once."""
    text = inflate(frame, bytes_max=BYTES_MAX)
    if is_delta(text):
        head = decode_delta(text).head
        return "delta", Applied(head.config_hash, head.revision, head.epoch, digest=head.digest)
    found = read_reconfigure(text, is_twin=True)
    assert found is not None
    rows = split_rows(found.table) if takes_deltas else None
    return "full", Applied(found.config_hash, found.revision, found.epoch, digest=rows.digest if rows else None)


async def live(number: int, dialer: Dialer, settings: dict[str, Any]) -> None:
    """One node: connected for as long as it can be, with the delays of the protocol."""
    query = NodeQuery(str(uuid.UUID(int=number + 1)), f"node-{number}", "3.9.3")
    info = encode_basic_info(BasicInfo({name: plugin.version for name, plugin in plugin_types().items()}))
    applied = Applied("", None, None)
    while True:
        try:
            stream, _ = await dialer.open(connect_path(CONFIG_PATH, query))
            tell("connected", number)
            await stream.send_binary(info)
            if applied.config_hash:
                await stream.send_binary(encode_applied(applied))
            await stream.send_ping(ping_payload(applied.config_hash or None))
            pinged = time.monotonic()
            while True:
                try:
                    message = await stream.receive(max(0.01, pinged + PING_S - time.monotonic()))
                except LinkError as error:
                    if time.monotonic() - pinged < PING_S:
                        raise
                    del error
                    await stream.send_ping(ping_payload(applied.config_hash))
                    pinged = time.monotonic()
                    continue
                if message.opcode is BINARY:
                    kind, applied = read(message.data, settings["deltas"])
                    await stream.send_binary(encode_applied(applied))
                    await stream.send_ping(ping_payload(applied.config_hash))
                    pinged = time.monotonic()
                    tell(kind, number, applied.revision or 0, len(message.data))
        except LinkError as error:
            tell("lost", number, error=error.code)
        await asyncio.sleep(random.uniform(*RECONNECT_S))


def tell(kind: str, number: int, revision: int = 0, size: int = 0, error: str = "") -> None:
    """One line about one node."""
    sys.stdout.write(json.dumps([kind, number, time.time(), revision, size, error]) + "\n")


async def run(settings: dict[str, Any]) -> None:
    """Start all, within a second, and flush what they tell."""
    tls = LinkTls("pki", *settings["pems"])
    endpoint = Endpoint("127.0.0.1", settings["port"], settings["server_name"])
    nodes = []
    for number in range(settings["first"], settings["first"] + settings["count"]):
        dialer = Dialer(endpoint, tls, bytes_max=BYTES_MAX, timeout_s=30)
        nodes.append(asyncio.ensure_future(_later(random.random(), live(number, dialer, settings))))
    with contextlib.suppress(asyncio.CancelledError, BrokenPipeError):
        while True:
            await asyncio.sleep(0.05)
            sys.stdout.flush()


async def _later(seconds: float, work: Any) -> None:
    await asyncio.sleep(seconds)
    await work


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(json.loads(sys.argv[1])))
