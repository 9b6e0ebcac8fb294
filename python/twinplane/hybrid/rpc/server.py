"""The control plane's end of version 2: one node, what it asks for, and what it is told.

A node of a version whose deltas are not known is told so in the answer to its hello, and comes back on version 1.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final

import orjson

from twinplane.control import Export, NodeHello, NodeIssue, NodePing, Scope
from twinplane.hybrid.compat import NORMAL
from twinplane.hybrid.compat_issues import PAYLOAD_TOO_LARGE, node_issue, refusal_issues
from twinplane.hybrid.errors import FrameInvalid, LinkError, PayloadTooLarge, PeerSilent
from twinplane.hybrid.frames import BINARY, FrameStream
from twinplane.hybrid.identity import Admission, Presented
from twinplane.hybrid.node_book import NodeBook
from twinplane.hybrid.publication import Publication
from twinplane.hybrid.rpc.deltas import Answer, SyncHistory
from twinplane.hybrid.rpc.hello import SYNC, Hello, decode_hello, encode_welcome
from twinplane.hybrid.rpc.jsonrpc import CallRefused
from twinplane.hybrid.rpc.peer import ANSWER_TOO_LARGE, RpcPeer
from twinplane.hybrid.rpc.sync import (
    GET_DELTA,
    NAMESPACE,
    NOTIFY_NEW_VERSION,
    NOTIFY_VALIDATION_ERROR,
    Dialect,
    Version,
    config_hash_of,
    dialect_of,
    read_validation_error,
    read_version,
    version_of,
)
from twinplane.hybrid.wire import INFLATED_FACTOR_MAX, IO_TIMEOUT_S, NodeQuery, NodeVersion, parse_version

TEXT_BYTES_MAX: Final = 1_048_576
_NOTIFY_AGAIN_S: Final = 5.0
_log = logging.getLogger(__name__)


class SyncShelf:
    """The histories of all control planes that have nodes of version 2."""

    def __init__(self, read: Callable[[str], Export], executor: Executor) -> None:
        """`read` gives the newest configuration of a control plane, with what is switched off. It may block."""
        self._read = read
        self._executor = executor
        self._histories: dict[str, SyncHistory] = {}
        self._users: dict[str, int] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    def join(self, control_plane_id: str) -> None:
        """One more node of a control plane."""
        self._users[control_plane_id] = self._users.get(control_plane_id, 0) + 1
        self._reading.setdefault(control_plane_id, asyncio.Lock())

    def leave(self, control_plane_id: str) -> None:
        """One less; after the last, nothing of it is kept."""
        self._users[control_plane_id] -= 1
        if not self._users[control_plane_id]:
            del self._users[control_plane_id]
            self._histories.pop(control_plane_id, None)
            self._reading.pop(control_plane_id, None)

    async def newest(self, control_plane_id: str, revision: int, epoch: str | None) -> SyncHistory:
        """The history up to that revision, or a newer one."""
        async with self._reading[control_plane_id]:
            history = self._histories.get(control_plane_id)
            is_there = history is not None and history.revision >= revision and epoch in (None, history.epoch)
            if history is None or not is_there:
                loop = asyncio.get_running_loop()
                export = await loop.run_in_executor(self._executor, self._read, control_plane_id)
                if history is None:
                    history = self._histories[control_plane_id] = SyncHistory(export)
                else:
                    await loop.run_in_executor(self._executor, history.advance, export)
            return history


@dataclass(frozen=True, slots=True)
class RpcSurroundings:
    """What all sessions of version 2 share."""

    book: NodeBook
    executor: Executor
    shelf: SyncShelf
    payload_bytes_max: int
    offers_sync: bool


class RpcSession:
    """A node's connection. `run` ends when the connection does."""

    def __init__(
        self,
        stream: FrameStream,
        presented: Presented,
        admission: Admission,
        surroundings: RpcSurroundings,
        *,
        on_frame: Callable[[int], None],
        on_refused: Callable[[str], None],
    ) -> None:
        self.query: NodeQuery | None = None
        self._stream = stream
        self._presented = presented
        self._admission = admission
        self._around = surroundings
        self._on_frame = on_frame
        self._on_refused = on_refused
        self._newest: Publication | None = None
        self._offered = asyncio.Event()
        self._asked = asyncio.Event()
        self._told: Version | None = None
        self._lost_issues: tuple[NodeIssue, ...] = ()
        self._node_issues: tuple[NodeIssue, ...] = ()

    @property
    def control_plane_id(self) -> str:
        """The control plane that the node belongs to."""
        return self._admission.control_plane.id

    def offer(self, publication: Publication) -> None:
        """There is a newer configuration."""
        self._newest = publication
        self._offered.set()

    async def run(self, on_hello: Callable[[NodeQuery], None], join: Callable[[], None]) -> None:
        """Serve the node. `join` is called where it takes deltas. Raises LinkError."""
        message = await self._stream.receive(IO_TIMEOUT_S)
        self._on_frame(len(message.data))
        if message.opcode is not BINARY:
            raise FrameInvalid("the first frame is not binary", "hello_invalid")
        hello, call_id = decode_hello(message.data)
        self.query = hello.query
        on_hello(hello.query)
        version = parse_version(hello.query.version)
        dialect = dialect_of(version) if self._around.offers_sync and SYNC in hello.capabilities else None
        await self._stream.send_binary(encode_welcome(call_id, [] if dialect is None else [SYNC]))
        if dialect is None or version is None:
            _log.info("node_without_sync version=%s node=%s", hello.query.version, hello.query.node_id)
            await self._peer({}).run()
            return
        await self._serve(hello, version, dialect, join)

    async def _serve(self, hello: Hello, version: NodeVersion, dialect: Dialect, join: Callable[[], None]) -> None:
        query, scope = hello.query, self._admission.control_plane.scope
        self._around.book.hello(
            scope,
            NodeHello(
                id=query.node_id,
                hostname=query.hostname,
                ip=self._presented.ip,
                version=query.version,
                labels=hello.labels,
                certificate_id=self._admission.certificate_id,
                certificate_expires_at=self._admission.expires_at,
            ),
        )
        _log.info("node_connected version=%s rpc=%s node=%s", query.version, dialect.value, query.node_id)

        async def get_delta(params: Sequence[Any]) -> Any:
            return await self._get_delta(params, scope, version, dialect)

        async def validation_error(params: Sequence[Any]) -> Any:
            return self._note_validation_error(params, scope)

        peer = self._peer({GET_DELTA: get_delta, NOTIFY_VALIDATION_ERROR: validation_error})
        self._around.shelf.join(self.control_plane_id)
        telling = asyncio.create_task(self._tell_always(peer, dialect))
        try:
            join()
            await peer.run()
        finally:
            self._around.shelf.leave(self.control_plane_id)
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    def _peer(self, handlers: dict[str, Callable[[Sequence[Any]], Awaitable[Any]]]) -> RpcPeer:
        return RpcPeer(
            self._stream,
            handlers,
            bytes_max=self._around.payload_bytes_max,
            text_max=TEXT_BYTES_MAX,
            on_frame=self._on_frame,
            on_refused=self._note_refused,
        )

    def _note_refused(self, reason: str) -> None:
        self._on_refused(reason)
        if reason == ANSWER_TOO_LARGE and self.query is not None:
            text = f"the configuration does not fit into {self._around.payload_bytes_max} bytes"
            self._lost_issues = (node_issue(PAYLOAD_TOO_LARGE, text),)
            scope = self._admission.control_plane.scope
            self._around.book.issues(scope, self.query.node_id, (*self._node_issues, *self._lost_issues))

    async def _get_delta(self, params: Sequence[Any], scope: Scope, node: NodeVersion, dialect: Dialect) -> Any:
        version = read_version(params)
        if isinstance(version, int) != (dialect is Dialect.NUMBERS):
            raise FrameInvalid("a version of another dialect", "params_invalid")
        wanted = self._newest
        history = await self._around.shelf.newest(
            self.control_plane_id, wanted.revision if wanted else 0, wanted.epoch if wanted else None
        )
        loop = asyncio.get_running_loop()
        is_trusted = self._told is not None and self._told == version

        def make() -> Answer:
            return history.answer(node, dialect, version, is_trusted=is_trusted)

        answer = await loop.run_in_executor(self._around.executor, make)
        self._record(scope, version, answer, dialect)
        text_max = self._around.payload_bytes_max * INFLATED_FACTOR_MAX
        if len(answer.text) > text_max:
            self._note_refused(ANSWER_TOO_LARGE)
            raise PayloadTooLarge(len(answer.text), text_max)
        self._told = answer.version
        self._asked.set()
        return orjson.Fragment(answer.text)

    def _record(self, scope: Scope, version: Version, answer: Answer, dialect: Dialect) -> None:
        """Write down what the node says it runs."""
        query = self.query
        assert query is not None
        is_newest = version == answer.version
        ping = NodePing(config_hash_of(version), answer.revision if is_newest else None)
        self._around.book.ping(scope, query.node_id, ping)
        self._around.book.sync_status(scope, query.node_id, NORMAL)
        if is_newest:
            self._node_issues = ()
        if answer.is_whole:
            self._lost_issues = tuple(answer.issues)
            _log.info("config_synced version=%s dialect=%s node=%s", answer.version, dialect.value, query.node_id)
        self._around.book.issues(scope, query.node_id, (*self._node_issues, *self._lost_issues))

    def _note_validation_error(self, params: Sequence[Any], scope: Scope) -> bool:
        said = read_validation_error(params)
        query = self.query
        assert query is not None
        self._node_issues = refusal_issues(said.message, said.flattened_errors)
        self._around.book.issues(scope, query.node_id, (*self._node_issues, *self._lost_issues))
        _log.error("node_refused_config version=%s detail=%s node=%s", said.version, said.message, query.node_id)
        return True

    async def _tell_always(self, peer: RpcPeer, dialect: Dialect) -> None:
        """Tell the node of each newer version, from its first question on."""
        await self._asked.wait()
        while True:
            await self._offered.wait()
            self._offered.clear()
            newest = self._newest
            if newest is None:
                continue
            version = version_of(dialect, newest.revision, newest.epoch)
            if version == self._told:
                continue
            try:
                await peer.call(NOTIFY_NEW_VERSION, [{NAMESPACE: {"new_version": version}}])
            except (PeerSilent, CallRefused) as error:
                _log.warning("node_not_told version=%s detail=%s node=%s", version, error, self._node_id())
                await asyncio.sleep(_NOTIFY_AGAIN_S)
            except LinkError:
                return

    def _node_id(self) -> str:
        return self.query.node_id if self.query else "unknown"
