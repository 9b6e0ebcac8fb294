"""The audit part of a node: its log of events, and what sends them where the node has a control plane."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping

from twinplane.hybrid.audit_key import AuditKey
from twinplane.hybrid.dial import Dialer
from twinplane.hybrid.wire import NodeQuery
from twinplane.node.audit import AuditLog, AuditOrigin, shown_reason
from twinplane.node.audit_sender import AuditSender
from twinplane.node.http import Answered
from twinplane.settings import NodeSettings

GRACE_SECONDS = 2.0


class NodeAudit:
    """What the node tells of itself."""

    def __init__(self, settings: NodeSettings, query: NodeQuery, version: str, dialer: Dialer | None) -> None:
        """`dialer` is the configuration link's; without one, or with audit_transport off, nothing is told."""
        self._settings = settings
        self._query = query
        self._version = version
        self._dialer = dialer if settings["audit_transport"] != "off" else None
        self._sender: AuditSender | None = None
        self._key: AuditKey | None = None
        self.log = AuditLog(events_max=settings["audit_queue_size"] if self._dialer else 0)

    def counts(self) -> Mapping[str, int]:
        """What became of events, and how many wait; empty where nothing is sent."""
        if self._sender is None:
            return {}
        facts, log = self._sender.facts, self.log
        return {"sent": facts.sent_total, "dropped": log.dropped_total, "waiting": len(log)}

    async def start(self, stack: contextlib.AsyncExitStack, is_linked: Callable[[], bool], config_hash: str) -> None:
        """Send from now on, until the stack ends; what waits then has a moment to leave."""
        self.log.note("started", version=self._version, hash=config_hash)
        if self._dialer is None:
            return
        sender = self._sender = self._make_sender(self._dialer, is_linked)
        if self._key is not None:
            sender.use_key(self._key)
        sending = asyncio.create_task(sender.run())

        async def end() -> None:
            await sender.close(GRACE_SECONDS)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

        stack.push_async_callback(end)

    def _make_sender(self, dialer: Dialer, is_linked: Callable[[], bool]) -> AuditSender:
        settings = self._settings
        origin = AuditOrigin(
            self._query.node_id,
            self._query.hostname,
            self._version,
            str(os.getpid()),
            settings["audit_format"],
            self.log.boot,
        )
        return AuditSender(
            self.log,
            origin,
            dialer,
            transport=settings["audit_transport"],
            endpoint=_endpoint(settings["audit_endpoint"]),
            is_linked=is_linked,
        )

    def use_key(self, key: AuditKey) -> None:
        """The link has handed over a key."""
        self._key = key
        if self._sender is not None:
            self._sender.use_key(key)

    def answered(self, api: str) -> Answered:
        """Notes the requests of an API."""

        def note(method: str, path: str, status: int, peer: str) -> None:
            self.log.access(api, method=method, path=path, status=status, peer=peer)

        return note

    def config_outcome(self, config_hash: str, revision: int | None, refused: str | None) -> None:
        """A configuration was applied, or refused for a reason."""
        if refused is None:
            self.log.note("config_applied", hash=config_hash, revision=revision)
        else:
            reason = shown_reason(refused)
            self.log.note("config_refused", "failure", hash=config_hash, revision=revision, reason=reason)


def _endpoint(text: str | None) -> tuple[str, int] | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
