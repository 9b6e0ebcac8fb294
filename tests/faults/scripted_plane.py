"""A real node process whose control plane is a script: every frame is the test's, and so is every answer it sees."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.certificates import Leaf
from tests.integration.installation import Client, eventually, free_ports, run_twinplane
from tests.integration.link_peer import BINARY, PING, Arrival, ControlPlane, Peer, read_frame

PATIENCE_S = 120.0
"""The machine may be busy."""
LIMIT = 4_194_304
"""The smallest that `cluster_max_payload` may be."""
_SERVER = "cp.example"


@dataclass
class Answered:
    """What a node said after a push, until it said what it serves."""

    errors: list[dict[str, Any]] = field(default_factory=list)
    resyncs: list[dict[str, Any]] = field(default_factory=list)
    applied: dict[str, Any] = field(default_factory=dict)
    """Of a twin; empty where the link ended."""
    config_hash: str = ""
    """In the ping that followed; empty where the link ended."""

    @property
    def link_ended(self) -> bool:
        """Whether the node hung up."""
        return not self.config_hash


class ScriptedNode:
    """The node, its control plane, and the link that is open between them."""

    def __init__(self, directory: Path, *, is_twin: bool) -> None:
        self._directory = directory
        self._ports = free_ports(2)
        leaf = Leaf.self_signed(_SERVER, names=(_SERVER,))
        (directory / "cp.pem").write_text(leaf.certificate)
        (directory / "cp.key").write_text(leaf.key)
        self._renew()
        # It is the node that is tried: whom its control plane takes is of no matter.
        certificate, key = directory / "cp.pem", directory / "cp.key"
        self.plane = ControlPlane(certificate, key, asks_certificate=False, is_twin=is_twin)
        self.process: subprocess.Popen[bytes] | None = None
        self._link: Peer | None = None
        self._config_hash = ""

    async def start(self) -> Arrival:
        """Start the process, as often as it was killed; the answer is its arrival at the control plane."""
        self.start_alone()
        return await self._arrived()

    def start_alone(self) -> None:
        """Start the process, and wait for nothing."""
        settings = {
            "role": "data_plane",
            "prefix": self._directory / "prefix",
            "cluster_mtls": "pki",
            "cluster_control_plane": f"127.0.0.1:{self.plane.port}",
            "cluster_server_name": _SERVER,
            "cluster_cert": self._directory / "node.pem",
            "cluster_cert_key": self._directory / "node.key",
            "lua_ssl_trusted_certificate": self._directory / "cp.pem",
            "certificate_check": "0.1",
            "cluster_max_payload": LIMIT,
            "konnect_mode": "on",
            "nginx_worker_processes": "1",
            "proxy_listen": f"127.0.0.1:{self._ports[0]}",
            "status_listen": f"127.0.0.1:{self._ports[1]}",
        }
        (self._directory / "prefix").mkdir(exist_ok=True)
        environ = {f"KONG_{name.upper()}": str(value) for name, value in settings.items()}
        self.process = run_twinplane("data-plane", environ=environ)

    async def kill(self) -> None:
        """End it as a crash does."""
        if self.process is not None:
            self.process.kill()
            await asyncio.to_thread(self.process.communicate)
        if self._link is not None:
            self._link.close()

    async def push(self, frame: bytes) -> Answered:
        """Send a frame and wait for what becomes of it; where the node hangs up, it has come back when this ends."""
        assert self._link is not None
        answered = Answered()
        try:
            await self._link.send(BINARY, frame)
            async with asyncio.timeout(PATIENCE_S):
                await self._hear(self._link, answered)
        except (asyncio.IncompleteReadError, ConnectionError):
            answered = Answered(answered.errors)
            self._link.close()
            # Another certificate is tried at once; without it the node would come back after 5 to 10 s.
            self._renew()
            await self._arrived()
        return answered

    async def send(self, frame: bytes) -> None:
        """Send a frame, and wait for nothing."""
        assert self._link is not None
        await self._link.send(BINARY, frame)

    async def hear(self) -> Answered:
        """What the node says next, until it says what it serves."""
        assert self._link is not None
        answered = Answered()
        async with asyncio.timeout(PATIENCE_S):
            await self._hear(self._link, answered)
        return answered

    @property
    def proxy(self) -> Client:
        """A client of the proxy port."""
        return Client(self._ports[0])

    async def serves(self, path: str) -> str:
        """What the proxy port answers with."""
        answer = await asyncio.to_thread(self.proxy, "GET", path)
        message = json.loads(answer.body)["message"]
        return f"{answer.status} {message}"

    async def config_hash(self) -> str:
        """What the node says of itself to who is beside it."""
        # The port of the status opens a moment after the one that proxies.
        await self._serves_its_status()
        answer = await asyncio.to_thread(Client(self._ports[1]), "GET", "/status")
        found: str = answer.json()["configuration_hash"]
        return found

    def memory_peak(self) -> int:
        """The most bytes that were resident since the start."""
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))

    def _renew(self) -> None:
        leaf = Leaf.self_signed("node")
        (self._directory / "node.key").write_text(leaf.key)
        (self._directory / "node.pem").write_text(leaf.certificate)

    async def _arrived(self) -> Arrival:
        arrival = await self.plane.arrival(PATIENCE_S)
        self._link, self._config_hash = arrival.peer, ""
        async with asyncio.timeout(PATIENCE_S):
            first = Answered()
            await self._hear(arrival.peer, first)
        arrival.basic_info["applied"] = first.applied
        await self._serves_its_status()
        return arrival

    async def _serves_its_status(self) -> None:
        await asyncio.to_thread(
            eventually, lambda: Client(self._ports[1])("GET", "/status").status == 200, seconds=PATIENCE_S
        )

    async def _hear(self, link: Peer, answered: Answered) -> None:
        while True:
            frame = await read_frame(link.reader)
            if frame.opcode == BINARY:
                message = json.loads(frame.data)
                if message["type"] == "error":
                    answered.errors.append(message["error"])
                elif message["type"] == "applied":
                    answered.applied = message
                else:
                    answered.resyncs.append(message)
            elif frame.opcode == PING and self._is_answer(answered, frame.data.decode()):
                answered.config_hash = self._config_hash = frame.data.decode()
                return

    def _is_answer(self, answered: Answered, config_hash: str) -> bool:
        """Whether a ping ends an answer: there are others, sent because it is time."""
        if self.plane.is_twin:
            return bool(answered.applied)
        return bool(answered.errors) or config_hash != self._config_hash


@asynccontextmanager
async def scripted_node(directory: Path, *, is_twin: bool) -> AsyncIterator[ScriptedNode]:
    """A node that has come to its control plane and has no configuration yet."""
    node = ScriptedNode(directory, is_twin=is_twin)
    await node.plane.start()
    try:
        await node.start()
        yield node
    finally:
        await node.kill()
        await node.plane.stop()
