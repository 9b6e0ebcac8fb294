"""A node's audit sender against a real audit port: it waits, comes back, and loses nothing it can keep."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
from tests.integration.audit_port import Port, open_port, until

from twinplane.audit.receiver import AuditReceiver, AuditReceiverSettings
from twinplane.hybrid.audit_key import AuditKey
from twinplane.hybrid.dial import Dialer, Endpoint, LinkTls
from twinplane.node.audit import AuditLog, AuditOrigin
from twinplane.node.audit_sender import AuditSender

Transport = Literal["tcp", "udp"]


class Sending:
    """A sender and its log."""

    def __init__(self, port: Port, transport: Transport, endpoint: tuple[str, int] | None = None) -> None:
        self.is_linked = True
        self.log = AuditLog(events_max=100)
        origin = AuditOrigin("n1", "host", "1.0", "7", "rfc5424", self.log.boot)
        tls = LinkTls("pki", port.node.certificate, port.node.key, port.server.certificate)
        dialer = Dialer(Endpoint("127.0.0.1", 1, "localhost"), tls)
        self.sender = AuditSender(
            self.log,
            origin,
            dialer,
            transport=transport,
            endpoint=endpoint,
            is_linked=lambda: self.is_linked,
            retry_first_s=0.05,
        )

    async def use(self, port: Port) -> AuditKey:
        key = await port.receiver.issue(port.sender())
        assert key is not None
        self.sender.use_key(key)
        return key


@contextlib.asynccontextmanager
async def sending(port: Port, transport: Transport, endpoint: tuple[str, int] | None = None) -> AsyncIterator[Sending]:
    found = Sending(port, transport, endpoint)
    running = asyncio.create_task(found.sender.run())
    try:
        yield found
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_what_was_noted_before_the_key_came_is_sent_with_it(tmp_path: Path, transport: Transport) -> None:
    async with open_port(tmp_path) as port, sending(port, transport) as node:
        for number in range(20):
            node.log.note("test", count=number)
        await asyncio.sleep(0.1)
        assert port.receiver.facts.received_total == 0
        await node.use(port)
        records = await until(lambda: len(port.records()) == 20 and port.records())
        assert [record.detail["number"] for record in records] == list(range(1, 21))
        assert {record.node_id for record in records} == {"n1"}
        assert port.receiver.facts.lost_total == 0


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_lines_wait_while_the_link_is_down_and_go_on_with_a_new_key(tmp_path: Path, transport: Transport) -> None:
    async with open_port(tmp_path) as port, sending(port, transport) as node:
        await node.use(port)
        node.log.note("before")
        await until(port.records)
        node.is_linked = False
        node.log.note("between")
        await asyncio.sleep(0.2)
        assert len(port.records()) == 1
        node.is_linked = True
        await node.use(port)
        await until(lambda: len(port.records()) == 2)
        assert port.receiver.facts.lost_total == 0


async def test_a_port_that_comes_back_gets_what_waited(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, sending(port, "tcp") as node:
        await node.use(port)
        node.log.note("before")
        await until(port.records)
        first = port.receiver
        await first.stop()
        await until(lambda: not node.sender.facts.is_connected)
        for _ in range(150):
            node.log.note("waited")
        await until(lambda: node.sender.facts.failures_total > 1)
        assert (len(node.log), node.log.dropped_total) == (100, 50)
        settings = AuditReceiverSettings("127.0.0.1", first.port, settle_s=0.1)
        port.receiver = AuditReceiver(port.platform.control, port.desk, settings, admit=first._admit)
        port.receiver.present((port.server.certificate, port.server.key))
        await port.receiver.start()
        try:
            await node.use(port)
            await until(lambda: len(port.records()) == 101)
            assert not len(node.log)
            await until(lambda: port.receiver.facts.lost_total == 50)
        finally:
            await port.receiver.stop()


async def test_without_a_link_lines_go_unsigned_to_a_given_endpoint(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, sending(port, "tcp", ("127.0.0.1", port.receiver.port)) as node:
        node.sender._alone_at = 0.0
        node.log.note("alone")
        closing = asyncio.create_task(node.sender.close(20))
        records = await until(port.records)
        await closing
        assert (records[0].kind, records[0].node_id) == ("node.alone", None)
        assert records[0].certificate_id == port.certificate_id


async def test_a_stop_waits_for_the_last_lines_and_not_for_ever(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, sending(port, "tcp") as node:
        node.log.note("never")
        await node.sender.close(20)
        await node.use(port)
        await until(port.records)
        node.is_linked = False
        node.log.note("stopped")
        await node.sender.close(20)
        await until(lambda: len(port.records()) == 2)


async def test_a_silent_peer_holds_nobody_up(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            async with sending(port, "tcp", silent.getsockname()[:2]) as node:
                await node.use(port)
                for _ in range(1000):
                    node.log.note("x")
                assert len(node.log) == 100
                await node.sender.close(0.2)
