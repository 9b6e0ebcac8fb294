"""Audit records sent on to a syslog server: in order, over every transport, and none left out when it goes away."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.certificates import Leaf
from tests.control_room import Platform, open_platform
from tests.integration.audit_port import until
from tests.integration.installation import eventually, installation

from twinplane.audit import forward
from twinplane.audit.cef import parse_extension
from twinplane.audit.forward import Forwarder, ForwardSettings
from twinplane.audit.forward_line import RECORD_ELEMENT, forwarded_line
from twinplane.audit.framing import Framer
from twinplane.audit.line import Line, parse_line
from twinplane.control.audit import AuditNote
from twinplane.control.scope import Actor

FORGERY = "x\n<13>1 - - - - - - forged]"


class Syslog:
    """A syslog server that can be taken away and brought back."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        # Whether it takes lines from its connections; where not, they stay in the network.
        self.is_reading = True
        self.port = 0
        self.lines: list[Line] = []
        self.certificate = Leaf.self_signed("syslog", names=("localhost",))
        self._closers: list[contextlib.AsyncExitStack] = []

    async def start(self) -> None:
        stack = contextlib.AsyncExitStack()
        self._closers.append(stack)
        if self.transport == "udp":
            syslog = self

            class Datagrams(asyncio.DatagramProtocol):
                def datagram_received(self, data: bytes, _address: object) -> None:
                    syslog.lines.append(parse_line(data))

            loop = asyncio.get_running_loop()
            opened, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", self.port))
            stack.callback(opened.close)
            self.port = opened.get_extra_info("sockname")[1]
            return
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        listening.bind(("127.0.0.1", self.port))
        server = await asyncio.start_server(self._take, sock=listening, ssl=self._tls())
        stack.callback(server.close)
        self.port = server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        while self._closers:
            await self._closers.pop().aclose()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._closers[0].callback(writer.transport.abort)
        if not self.is_reading:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            return
        framer = Framer(20_000)
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                self.lines += [parse_line(line) for line in framer.feed(data)]

    def _tls(self) -> ssl.SSLContext | None:
        if self.transport != "tls":
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "both.pem")
            path.write_text(self.certificate.key + self.certificate.certificate)
            context.load_cert_chain(path)
        return context

    def numbers(self) -> list[int]:
        """The `n` of the test's records, as they came."""
        found = [line.message for line in self.lines if line.message_id == "test"]
        return [int(message.split('"n":')[1].split("}")[0].split(",")[0]) for message in found]


@contextlib.asynccontextmanager
async def forwarding(
    platform: Platform, syslog: Syslog, authority: Path | None = None, *, silence_s: float = 30.0
) -> AsyncIterator[Forwarder]:
    settings = ForwardSettings(
        syslog.transport,  # type: ignore[arg-type]
        "localhost" if syslog.transport == "tls" else "127.0.0.1",
        syslog.port,
        "rfc5424",
        hostname="twinplane.test",
        authority=authority,
        poll_s=0.02,
        sure_after_s=0.3,
        retry_first_s=0.05,
        silence_s=silence_s,
    )
    forwarder = Forwarder(platform.control.audit, settings)
    running = asyncio.create_task(forwarder.run())
    try:
        yield forwarder
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def note(platform: Platform, *numbers: int, text: str = FORGERY) -> None:
    organization = platform.principal.organization_id
    notes = [AuditNote("test", organization, detail={"n": number, "text": text}) for number in numbers]
    platform.control.audit.append(notes)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_records_arrive_in_order_with_their_hash(tmp_path: Path, transport: str) -> None:
    syslog = Syslog(transport)
    await syslog.start()
    authority = tmp_path / "syslog.pem"
    authority.write_text(syslog.certificate.certificate)
    with open_platform(tmp_path / "data") as platform:
        note(platform, 0)
        async with forwarding(platform, syslog, authority) as forwarder:
            await until(lambda: forwarder.facts.is_connected)
            await until(lambda: platform.control.audit.forwarded() > 0)
            note(platform, 1, 2, 3)
            await until(lambda: syslog.numbers() == [1, 2, 3])
            newest = platform.control.audit.after(0, limit=1000)[-1]
            line = syslog.lines[-1]
            assert (line.hostname, line.app) == ("twinplane.test", "twinplane")
            assert line.value(RECORD_ELEMENT, "hash") == newest.hash
            assert line.value(RECORD_ELEMENT, "id") == str(newest.position)
            assert "\n" not in line.raw.decode()
            assert forwarder.facts.missed_total == 0
    await syslog.stop()


async def test_a_server_that_was_away_gets_every_record(tmp_path: Path) -> None:
    syslog = Syslog("tcp")
    await syslog.start()
    with open_platform(tmp_path) as platform:
        async with forwarding(platform, syslog) as forwarder:
            await until(lambda: forwarder.facts.is_connected)
            note(platform, 1)
            await until(lambda: 1 in syslog.numbers())
            await syslog.stop()
            await until(lambda: not forwarder.facts.is_connected)
            note(platform, 2, 3)
            await until(lambda: forwarder.facts.failures_total > 1)
            await syslog.start()
            await until(lambda: set(syslog.numbers()) == {1, 2, 3})
        await syslog.stop()
        note(platform, 4)
        await syslog.start()
        async with forwarding(platform, syslog):
            await until(lambda: set(syslog.numbers()) == {1, 2, 3, 4})
    await syslog.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is on its way")
@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_what_a_silent_server_did_not_take_is_not_noted_as_sent(tmp_path: Path, transport: str) -> None:
    syslog = Syslog(transport)
    syslog.is_reading = False
    await syslog.start()
    authority = tmp_path / "syslog.pem"
    authority.write_text(syslog.certificate.certificate)
    with open_platform(tmp_path / "data") as platform:
        audit = platform.control.audit
        begin = audit.last_position()
        audit.note_forwarded(begin)
        # More than the server's side of a connection holds, less than what this side takes without waiting.
        note(platform, *range(40), text="x" * 10_000)
        async with forwarding(platform, syslog, authority, silence_s=2.0) as forwarder:
            await until(lambda: forwarder.facts.sent_total >= 40)
            # The system gives up a connection on which nothing moves, and its lines are sent again.
            await until(lambda: forwarder.facts.failures_total > 0 and forwarder.facts.sent_total > 40)
            assert audit.forwarded() == begin
            syslog.is_reading = True
            await until(lambda: set(syslog.numbers()) == set(range(40)))
            await until(lambda: audit.forwarded() >= begin + 40)
    await syslog.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is on its way")
async def test_not_more_than_a_bound_is_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "RECORDS_AT_ONCE", 1)
    monkeypatch.setattr(forward, "UNSURE_MAX", 5)
    syslog = Syslog("tcp")
    syslog.is_reading = False
    await syslog.start()
    with open_platform(tmp_path) as platform:
        audit = platform.control.audit
        audit.note_forwarded(audit.last_position())
        note(platform, *range(100), text="x" * 10_000)
        async with forwarding(platform, syslog, silence_s=1.0) as forwarder:
            await until(lambda: forwarder.facts.failures_total)
            assert forwarder.facts.sent_total < 100
            syslog.is_reading = True
            await until(lambda: set(syslog.numbers()) == set(range(100)))
    await syslog.stop()


async def test_records_that_were_forgotten_meanwhile_are_counted(tmp_path: Path) -> None:
    syslog = Syslog("tcp")
    await syslog.start()
    with open_platform(tmp_path) as platform:
        audit = platform.control.audit
        audit.note_forwarded(audit.last_position())
        note(platform, *range(10))
        audit.forget_old(keep_s=1e9, records_max=4)
        async with forwarding(platform, syslog) as forwarder:
            await until(lambda: syslog.numbers() == [6, 7, 8, 9])
            assert forwarder.facts.missed_total == 6
    await syslog.stop()


async def test_a_server_that_is_not_the_one_gets_nothing(tmp_path: Path) -> None:
    syslog = Syslog("tls")
    await syslog.start()
    stranger = tmp_path / "other.pem"
    stranger.write_text(Leaf.self_signed("other", names=("localhost",)).certificate)
    with open_platform(tmp_path / "data") as platform:
        async with forwarding(platform, syslog, stranger) as forwarder:
            await until(lambda: forwarder.facts.failures_total > 1)
            assert "CERTIFICATE_VERIFY_FAILED" in forwarder.facts.last_error
            assert (syslog.lines, forwarder.facts.sent_total) == ([], 0)
    await syslog.stop()


def test_a_record_in_cef(tmp_path: Path) -> None:
    with open_platform(tmp_path) as platform:
        who = Actor("user", "u1", "A = B|C", "192.0.2.1", "r1")
        noted = AuditNote(
            "call.refused", platform.principal.organization_id, "failure", actor=who, detail={"a": FORGERY}
        )
        record = platform.control.audit.append([noted])[0]
        line = parse_line(forwarded_line(record, "cef", hostname="h"))
        fields = parse_extension(line.message)
        assert (fields["suid"], fields["suser"], fields["src"], fields["cs4"]) == ("u1", "A = B|C", "192.0.2.1", "r1")
        assert fields["outcome"] == "failure"
        assert fields["cs5"] == record.hash
        assert line.priority % 8 == 4


def test_a_whole_installation_sends_its_records_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiving:
        receiving.bind(("127.0.0.1", 0))
        receiving.settimeout(0.2)
        seen: list[Line] = []

        def has(kind: str) -> bool:
            with contextlib.suppress(TimeoutError):
                while True:
                    seen.append(parse_line(receiving.recv(65_536)))
            return any(line.message_id == kind for line in seen)

        environ = {"TWINPLANE_AUDIT_FORWARD": f"udp://127.0.0.1:{receiving.getsockname()[1]}"}
        with installation(tmp_path, "--audit-port", "0", environ=environ) as up:
            assert up.admin("PUT", "/services/sent-on", {"url": "http://127.0.0.1:1"}).status == 200
            for kind in ("link.joined", "node.started", "change"):
                eventually(lambda kind=kind: has(kind), seconds=60)
