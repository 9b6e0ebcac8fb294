"""A name server of the tests, on UDP and TCP of one loopback port: honest, slow, wrong or silent, as it is told."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from dnslib import CNAME, QTYPE, RCODE, RR, SRV, A, DNSRecord

Manner = Callable[[DNSRecord, DNSRecord], list[bytes]]
"""What is sent for a question and the honest answer to it; nothing is silence."""


def honest(_question: DNSRecord, answer: DNSRecord) -> list[bytes]:
    """The answer as it stands."""
    return [answer.pack()]


def silent(_question: DNSRecord, _answer: DNSRecord) -> list[bytes]:
    """Nothing, ever."""
    return []


def failing(_question: DNSRecord, answer: DNSRecord) -> list[bytes]:
    """SERVFAIL."""
    answer.rr = []
    answer.header.rcode = RCODE.SERVFAIL
    return [answer.pack()]


def empty(_question: DNSRecord, answer: DNSRecord) -> list[bytes]:
    """Yes, and nothing."""
    answer.rr = []
    answer.header.rcode = RCODE.NOERROR
    return [answer.pack()]


def lying(address: str) -> Manner:
    """Answers of others first: another id, another question; each with an address that nobody asked for."""

    def manner(question: DNSRecord, answer: DNSRecord) -> list[bytes]:
        forged = question.reply()
        forged.add_answer(RR(str(question.q.qname), QTYPE.A, rdata=A(address), ttl=600))
        forged.header.id = question.header.id ^ 0x5555
        elsewhere = DNSRecord.question("elsewhere.test").reply()
        elsewhere.header.id = question.header.id
        elsewhere.add_answer(RR("elsewhere.test", QTYPE.A, rdata=A(address), ttl=600))
        return [forged.pack(), elsewhere.pack(), *honest(question, answer)]

    return manner


@dataclass
class NameServer:
    """What it knows, how it behaves, what it was asked."""

    port: int = 0
    manner: Manner = honest
    delay_s: float = 0.0
    records: dict[str, list[RR]] = field(default_factory=dict)
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    over_tcp: int = 0
    ids: list[int] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def leads(self, name: str, *addresses: str, ttl: int = 600) -> None:
        """A name has these addresses from now on."""
        self.records[name] = [RR(name, QTYPE.A, rdata=A(address), ttl=ttl) for address in addresses]

    def serves(self, name: str, *services: tuple[int, int, int, str], ttl: int = 600) -> None:
        """A name has these service records (priority, weight, port, name) from now on."""
        self.records[name] = [RR(name, QTYPE.SRV, rdata=SRV(*service), ttl=ttl) for service in services]

    def is_called(self, name: str, other: str, ttl: int = 600) -> None:
        """A name is another one's."""
        self.records[name] = [RR(name, QTYPE.CNAME, rdata=CNAME(other), ttl=ttl)]

    def count(self, name: str) -> int:
        """How often addresses of a name were asked for."""
        return self.asked[name, "A"]

    def _answer(self, data: bytes, *, is_tcp: bool) -> list[bytes]:
        question = DNSRecord.parse(data)
        name, kind = str(question.q.qname).rstrip(".").lower(), QTYPE[question.q.qtype]
        self.asked[name, kind] += 1
        self.ids.append(question.header.id)
        answer = question.reply()
        known = self.records.get(name)
        for _ in range(8):
            found = [record for record in known or () if QTYPE[record.rtype] in {kind, "CNAME"}]
            answer.rr.extend(found)
            if not found or QTYPE[found[0].rtype] == kind:
                break
            known = self.records.get(str(found[0].rdata.label).rstrip("."))
        if name not in self.records:
            answer.header.rcode = RCODE.NXDOMAIN
        if self.delay_s:
            time.sleep(self.delay_s)
        sent = self.manner(question, answer)
        if is_tcp or len(sent) != 1 or len(sent[0]) <= 512:
            return sent
        # Too long for a datagram: the question again, and that there is more.
        answer.rr = []
        answer.header.tc = 1
        return [answer.pack()]

    def serve_udp(self, udp: socket.socket) -> None:
        """Answer until the socket is closed."""
        with suppress(OSError):
            while True:
                data, peer = udp.recvfrom(4096)
                if not data:
                    return
                self.ports.append(peer[1])
                threading.Thread(target=self._reply, args=(udp, data, peer), daemon=True).start()

    def _reply(self, udp: socket.socket, data: bytes, peer: tuple[str, int]) -> None:
        with suppress(OSError):
            for message in self._answer(data, is_tcp=False):
                udp.sendto(message, peer)

    def serve_tcp(self, tcp: socket.socket) -> None:
        """Answer each connection until the socket is closed."""
        with suppress(OSError):
            while True:
                connection, _ = tcp.accept()
                self.over_tcp += 1
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream, suppress(OSError):
            while head := stream.read(2):
                for message in self._answer(stream.read(int.from_bytes(head)), is_tcp=True):
                    connection.sendall(len(message).to_bytes(2) + message)


@contextmanager
def running() -> Iterator[NameServer]:
    """A name server that knows nothing yet."""
    server = NameServer()
    udp, tcp = _sockets()
    server.port = udp.getsockname()[1]
    threads = [
        threading.Thread(target=server.serve_udp, args=(udp,), daemon=True),
        threading.Thread(target=server.serve_tcp, args=(tcp,), daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        for listening in (udp, tcp):
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()


def _sockets() -> tuple[socket.socket, socket.socket]:
    for _ in range(50):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, socket.create_server(udp.getsockname(), backlog=64)
        except OSError:
            udp.close()
    raise AssertionError("no port is free on both UDP and TCP")
