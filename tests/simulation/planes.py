"""The two planes as simulated processes: the product's link server and ingest, link client, keeper, cache, sender."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.network import Conditions, Network
from tests.simulation.stores import Content, Shelf, Store, content_of, wall

from twinplane.control.analytics import Batch
from twinplane.hybrid.client import LinkClient
from twinplane.hybrid.dial import Dialer, Endpoint
from twinplane.hybrid.server import LinkServer, LinkServerSettings
from twinplane.hybrid.wire import PAYLOAD_BYTES_MAX, BasicInfo, Issue, NodeQuery
from twinplane.node.backlog import Backlog
from twinplane.node.cache import ConfigCache
from twinplane.node.config import ConfigKeeper
from twinplane.node.errors import PayloadRefused
from twinplane.node.journal import JournaledCache
from twinplane.node.telemetry import TelemetrySender
from twinplane.telemetry.ingest import Ingest
from twinplane.telemetry.wire import Kind

ADDRESS = "link.sock"
_ROW = [1_700_000_000_000_000, "", None, None, None, None, None, "GET", "/", None, "http", "1.1", 404, None, "kong"]
_ROW += [10, None, 10, 100, 200, 0]


class EventShelf:
    """The event store: what came in, once for each batch id. Outlives the control plane's process."""

    def __init__(self) -> None:
        self._batches: set[tuple[str, str, int, str]] = set()
        self.requests: dict[str, list[int]] = {}
        self.lost: dict[tuple[str, str], int] = {}

    def add_records(self, batch: Batch) -> bool:
        """Of `Analytics`."""
        source = batch.source
        if not self._is_new(batch, "records"):
            return False
        stored = self.requests.setdefault(source.node_id, [])
        stored += [int(str(request_id), 16) for request_id in batch.columns[1]]
        self._note_losses(batch)
        return True

    def add_usage(self, batch: Batch) -> bool:
        """Of `Analytics`."""
        if not self._is_new(batch, "usage"):
            return False
        self._note_losses(batch)
        return True

    def _is_new(self, batch: Batch, kind: str) -> bool:
        source = batch.source
        key = (source.node_id, source.boot_id, source.number, kind)
        if key in self._batches:
            return False
        self._batches.add(key)
        return True

    def _note_losses(self, batch: Batch) -> None:
        source = batch.source
        key = (source.node_id, source.lost_origin)
        self.lost[key] = max(self.lost.get(key, 0), source.lost_records)


class ControlPlaneProcess:
    """One run of a control plane, from start to kill."""

    def __init__(self, loop: VirtualLoop, shelf: Shelf, events: EventShelf, on_report: Callable[..., None]) -> None:
        self.process = Process("control plane")
        self.store: Store = self.process.run(shelf.open, on_report)
        self._server: LinkServer = self.process.run(
            LinkServer, self.store.control, Ingest(events, clock=wall), LinkServerSettings(_SocketPath())
        )
        loop.spawn(self.process, self._server.start())


class _SocketPath:
    """The address of the link server, with what it does to the file of a socket."""

    def __str__(self) -> str:
        return ADDRESS

    def unlink(self, missing_ok: bool = False) -> None:
        """No file."""

    def chmod(self, mode: int) -> None:
        """No file."""


class Core:
    """Stands for the core: serves one table whole, or refuses it; measures requests."""

    def __init__(self, refuses: Callable[[Content], str | None], on_applied: Callable[[Content], None]) -> None:
        self.serving: Content | None = None
        self.pending = b""
        self.on_drained: Callable[[], None] = lambda: None
        self._refuses, self._on_applied = refuses, on_applied

    def apply(self, table: bytes) -> Sequence[Issue]:
        """Serve this from now on. Raises PayloadRefused."""
        content = content_of(table)
        services = {entity_id for type_name, entity_id, _ in content if type_name == "services"}
        for type_name, entity_id, text in content:
            if type_name == "routes" and text.rsplit(" ", 1)[1] not in services:
                raise PayloadRefused([{"message": f"route {entity_id} names a service that is not there"}])
        why = self._refuses(content)
        if why is not None:
            raise PayloadRefused([{"message": why}])
        self.serving = content
        self._on_applied(content)
        return []

    def drain(self, kind: str) -> bytes:
        """What was measured since the last call."""
        if kind == "metrics":
            return b'{"lost":{"records":0}}'
        if kind == "usage":
            return b""
        self.on_drained()
        pending, self.pending = self.pending, b""
        return pending


class NodeProcess:
    """One run of a node, from start to kill, on a directory that outlives it."""

    def __init__(
        self,
        loop: VirtualLoop,
        node: Node,
        network: Network,
        *,
        records_max: int,
        journal_from: int,
        has_telemetry: bool,
        refuses: Callable[[Content], str | None],
        on_applied: Callable[[Content], None],
    ) -> None:
        self.process = Process(node.name)
        self.core = Core(refuses, on_applied)
        self.core.on_drained = node.note_drained
        self.io_left: int | None = None
        """Calls of the operating system until this process is killed in one."""
        self.keeper: ConfigKeeper | None = None
        self.backlog: _WatchedBacklog | None = None
        self._loop, self._node, self._network = loop, node, network
        self._records_max, self._has_telemetry = records_max, has_telemetry
        self._journal_from = journal_from
        self.observed: object = None
        """What was looked at last."""
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start as the product's runner does. May raise Killed."""
        self.process.run(self._start)

    def _start(self) -> None:
        node = self._node
        keeper = self.keeper = ConfigKeeper(
            self.core.apply,
            JournaledCache(
                ConfigCache(node.directory),
                node.directory,
                bytes_max=PAYLOAD_BYTES_MAX,
                table_bytes_min=self._journal_from,
            ),
            complete=lambda table: table,
            bytes_max=PAYLOAD_BYTES_MAX,
            on_served=lambda _table: None,
        )

        def start_core(table: bytes | None) -> Core:
            if table is not None:
                self.core.apply(table)
            return self.core

        keeper.start(start_core, (PayloadRefused,), issues=lambda _core: [])
        query = NodeQuery(node.id, node.name, "3.9.3")
        client = LinkClient(
            SimulatedDialer(self._network, node.way, node.head("cp0")),
            query,
            keeper,
            basic_info=lambda: BasicInfo({"key-auth": "3.9.3"}),
            reports_faults=False,
        )
        self._tasks = [self._loop.create_task(client.run()), self._loop.create_task(keeper.retry_keeping())]
        if self._has_telemetry:
            self.backlog = _WatchedBacklog(node, records_max=self._records_max)
            sender = TelemetrySender(
                self.core.drain,
                self.backlog,
                dialer=SimulatedDialer(self._network, node.way, node.head("tp0")),
                query=query,
            )
            self._tasks.append(self._loop.create_task(sender.run()))

    def broken(self) -> BaseException | None:
        """What ended a part that should run for ever."""
        ended = [task for task in self._tasks if task.done()]
        return ended[0].exception() if ended and not ended[0].cancelled() else None


class _WatchedBacklog(Backlog):
    """Tells the node which requests are on disk."""

    def __init__(self, node: Node, *, records_max: int) -> None:
        self._node = node
        super().__init__(node.directory, records_max=records_max)

    def add(self, batches: Iterable[tuple[Kind, int, bytes]]) -> None:
        super().add(batches)
        self._node.note_safe()

    def forget_sent(self) -> None:
        self.note_doubted()
        super().forget_sent()

    def note_doubted(self) -> None:
        """Batches under way when their link ends may have arrived, and may still be dropped and counted as lost."""
        self._node.doubted += sum(one.rows for one in self._waiting.values() if one.is_sent)


class SimulatedDialer(Dialer):
    """The product's dialer over the simulated network."""

    def __init__(self, network: Network, way: Conditions, head_lines: bytes) -> None:
        # All but the certificates: nothing here is encrypted.
        self.endpoint = Endpoint("cp.example", 443, "cp.example")
        self._timeout_s = 5.0
        self._proxy = None
        self._bytes_max = PAYLOAD_BYTES_MAX
        self._begin(_Unencrypted())  # type: ignore[arg-type]
        self._network, self._conditions, self._head_lines = network, way, head_lines

    async def _connect(self, way: Any) -> Any:
        return await self._network.connect(ADDRESS, self._conditions, self._head_lines)


class _Unencrypted:
    """Instead of a certificate and whom to trust."""

    def check_pin(self, writer: Any) -> None:
        """Nobody else can be there."""


class Node:
    """A node over all its runs: its directory, its way to the control plane, and what is known of it."""

    def __init__(self, number: int, directory: Path, certificate: bytes, names: dict[str, str]) -> None:
        self.number = number
        self.name = f"node-{number}"
        self.id = f"7bd5e9b4-1111-4222-8333-{number:012d}"
        self.directory = directory
        self.way = Conditions()
        self.run: NodeProcess | None = None
        self.seen: int | None = None
        """Place of what it served last."""
        self.measured = 0
        self.excused: set[int] = set()
        """Requests that a kill may have cost: they were not on disk yet."""
        self.doubted = 0
        self._measured_at: list[float] = [0.0]
        self._drained, self._safe = 0, 0
        self._certificate, self._names = certificate, names

    def head(self, kind: str) -> bytes:
        """What the front door writes into the upgrade request."""
        certificate = base64.b64encode(self._certificate).decode()
        lines = [f"Client-Cert: :{certificate}:", f"Twinplane-Sni: {self._names[kind]}", "Twinplane-Peer: 10.0.0.1:1"]
        return "".join(f"{line}\r\n" for line in lines).encode()

    def measure(self, count: int, now: float) -> None:
        """Have requests happen."""
        if self.run is None:
            return
        for _ in range(count):
            self.measured += 1
            self._measured_at.append(now)
            self.run.core.pending += orjson.dumps([_ROW[0], f"{self.measured:032x}", *_ROW[2:]]) + b"\n"

    def note_drained(self) -> None:
        """What was measured so far is on its way to the disk."""
        self._drained = self.measured

    def note_safe(self) -> None:
        """What was drained is on disk."""
        self._safe = self._drained

    def note_killed(self, now: float) -> float:
        """The process was killed; the answer is the age of the oldest request that this may have cost."""
        at_risk = range(self._safe + 1, self.measured + 1)
        self.excused.update(at_risk)
        self._safe = self._drained = self.measured
        return now - self._measured_at[at_risk[0]] if at_risk else 0.0
