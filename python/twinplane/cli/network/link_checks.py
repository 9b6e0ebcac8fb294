"""The way of one link of a node, step by step: name, connection, TLS, certificates, WebSocket, clock, large packets.

What needs a step that failed is not tried. Nothing is sent but what a node sends before it says who it is, and no
private key, password or token stands in any finding.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import socket
import ssl
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from twinplane import __version__
from twinplane.cli.network import wire
from twinplane.cli.network.failures import advice_for, words_for
from twinplane.cli.network.findings import Finding, Status
from twinplane.cli.network.presented import Presented, covers, described, opener, presented_by
from twinplane.cli.network.wire import HttpAnswer, NotHttp, Route
from twinplane.hybrid.errors import LinkError
from twinplane.hybrid.wire import LINK_HEADER, LINK_VERSION, NodeQuery, connect_path

CLOCK_OK_S = 30.0
CLOCK_BAD_S = 300.0
_HEALTH = "/health"
_HOSTNAME = "twinplane-network-check"
# Four field lines below the limit of one line and of a head: more than a dozen packets that are as large as can be.
_PADDING = {f"X-Padding-{number}": "x" * 6000 for number in range(4)}
_ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_HANG_S = 3


@dataclass(frozen=True, slots=True)
class LinkTarget:
    """One link: what it is called, how it is dialled, and the path of its upgrade."""

    name: str
    route: Route
    path: str
    version: str

    @property
    def title(self) -> str:
        """How findings name it."""
        return f"{self.name} {self.route.endpoint.authority}"


@dataclass(frozen=True, slots=True)
class Trust:
    """TLS as the node does it (`verifying`), and without looking at what is presented. `pinned` in shared mode."""

    verifying: ssl.SSLContext
    looking: ssl.SSLContext
    pinned: str | None


class LinkCheck:
    """Checks one link."""

    def __init__(self, target: LinkTarget, trust: Trust) -> None:
        self._target = target
        self._route = target.route
        self._trust = trust
        self.findings: list[Finding] = []

    async def run(self) -> Sequence[Finding]:
        """Every finding, in the order of the way."""
        addresses = await self._resolve()
        if addresses and not await self._connect(addresses):
            return self.findings
        if not addresses and self._route.proxy is None:
            return self.findings
        presented = await self._handshake()
        if presented is None or not await self._verify(presented):
            return self.findings
        parts = await asyncio.gather(self._upgrade(), self._clock_and_size())
        for part in parts:
            self.findings += part
        return self.findings

    def _note(self, check: str, status: Status, seen: str, advice: str = "") -> Finding:
        return Finding(self._target.title, check, status, seen, advice)

    def _add(self, check: str, status: Status, seen: str, advice: str = "") -> None:
        self.findings.append(self._note(check, status, seen, advice))

    async def _resolve(self) -> Sequence[str]:
        route = self._route
        host, port = (
            (route.proxy.host, route.proxy.port)
            if route.proxy is not None
            else (route.endpoint.host, route.endpoint.port)
        )
        try:
            addresses = await wire.resolve(host, port, route.timeout_s)
        except (OSError, TimeoutError, UnicodeError) as error:
            self._add("resolve", "fail", f"{host}: {words_for(error)}", advice_for("resolve", error))
            return ()
        through = "" if route.proxy is None else f"{host} (the forward proxy; it resolves the rest): "
        self._add("resolve", "ok", through + ", ".join(addresses))
        return addresses

    async def _connect(self, addresses: Sequence[str]) -> bool:
        route = self._route
        port = route.endpoint.port if route.proxy is None else route.proxy.port
        outcomes = await asyncio.gather(
            *(wire.connect(address, port, route.timeout_s) for address in addresses), return_exceptions=True
        )
        took = [outcome for outcome in outcomes if isinstance(outcome, float)]
        errors = [
            (address, outcome)
            for address, outcome in zip(addresses, outcomes, strict=True)
            if isinstance(outcome, BaseException)
        ]
        refused = "; ".join(f"{address} port {port}: {words_for(error)}" for address, error in errors)
        if not took:
            self._add("connect", "fail", refused, advice_for("connect", errors[0][1]))
            return False
        seen = f"port {port} in {min(took) * 1000:.0f} ms"
        if errors:
            advice = "some addresses are out of reach: each costs a node time at every start; open them or drop them"
            self._add("connect", "warn", f"{seen}; {refused}", advice)
        else:
            self._add("connect", "ok", seen)
        return True

    async def _handshake(self) -> Presented | None:
        check = "TLS" if self._route.proxy is None else "proxy and TLS"
        try:
            async with wire.tls_session(self._route, self._trust.looking) as (_, writer):
                presented = presented_by(writer.get_extra_info("ssl_object"))
        except (OSError, TimeoutError, EOFError, LinkError) as error:
            self._add(check, "fail", words_for(error), advice_for("tls", error))
            return None
        self._add(check, "ok", described(presented))
        return presented

    async def _verify(self, presented: Presented) -> bool:
        check, name = "server certificate", self._route.server_name
        if self._trust.pinned is not None:
            if presented.fingerprint == self._trust.pinned:
                self._add(check, "ok", "is the one that node and control plane share")
                return True
            seen = "is another one than cluster_cert, which both sides share in this mode"
            self._add(check, "fail", seen, _interception(presented, name) or "give both sides the same pair")
            return False
        try:
            async with wire.tls_session(self._route, self._trust.verifying):
                pass
        except ssl.SSLCertVerificationError as error:
            advice = _interception(presented, name) if error.verify_code in _UNTRUSTED else ""
            self._add(check, "fail", f"{name}: {error.verify_message}", advice or advice_for("verify", error))
            return False
        except (OSError, TimeoutError, EOFError, LinkError) as error:
            self._add(check, "fail", words_for(error), advice_for("tls", error))
            return False
        maker = opener(presented)
        if maker is not None:
            advice = "exempt this host from inspection there: node certificates do not get through it"
            self._add(check, "warn", f"trusted, but issued by {maker}, which opens TLS in between", advice)
        else:
            self._add(check, "ok", f"is trusted for {name}")
        return True

    async def _upgrade(self) -> list[Finding]:
        """Whether the certificate of the node lets it in, and whether a WebSocket gets through."""
        key = base64.b64encode(os.urandom(16)).decode()
        query = NodeQuery(str(uuid.uuid4()), _HOSTNAME, self._target.version)
        fields = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            LINK_HEADER: LINK_VERSION,
        }
        request = wire.request_bytes(
            "GET", connect_path(self._target.path, query), self._route.endpoint.authority, fields
        )
        try:
            async with wire.tls_session(self._route, self._trust.verifying) as (reader, writer):
                answer = await wire.exchange(reader, writer, request, self._route.timeout_s)
                if answer.status == 101:
                    # A close frame without a code: whoever it is knows at once that nothing follows.
                    writer.write(b"\x88\x80" + os.urandom(4))
        except ssl.SSLError as error:
            advice = "let the node's certificate in: pin it to the control plane, or give it one of its authority"
            return [self._note("client certificate", "fail", words_for(error), advice)]
        except NotHttp as error:
            return [self._note("WebSocket upgrade", "fail", f"no HTTP: {error.args[0]!r}", _LOOK_BETWEEN)]
        except (OSError, TimeoutError, EOFError, LinkError) as error:
            return [self._note("WebSocket upgrade", "fail", words_for(error), advice_for("upgrade", error))]
        return self._judge_upgrade(answer, key)

    def _judge_upgrade(self, answer: HttpAnswer, key: str) -> list[Finding]:
        certificate, socket_ = "client certificate", "WebSocket upgrade"
        told = answer.body[:200].decode("utf-8", errors="replace").strip()
        if answer.status == 101:
            wanted = base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT_SALT).digest()).decode()  # noqa: S324 - RFC 6455
            if answer.fields.get("sec-websocket-accept") != wanted:
                return [self._note(socket_, "fail", "101, but not for this request", _LOOK_BETWEEN)]
            return [self._note(certificate, "ok", "is accepted"), self._note(socket_, "ok", "101")]
        if answer.status == 401 and "no client certificate" in told:
            advice = (
                "something in between ends TLS, or the server name is not one of a link: pass TLS through to the"
                " control plane untouched, and check cluster_server_name and cluster_telemetry_server_name"
            )
            return [self._note(certificate, "fail", "was offered, but the control plane saw none", advice)]
        if answer.status in (401, 403):
            advice = (
                "pin the certificate to the control plane whose name is dialled (twinplane join, or"
                " POST /v2/control-planes/{id}/dp-client-certificates), and check that it has not expired"
            )
            return [self._note(certificate, "fail", f"is refused with {answer.status}: {told}", advice)]
        return [self._note(socket_, "fail", f"answered with {answer.status}: {told}", _upgrade_advice(answer.status))]

    async def _clock_and_size(self) -> list[Finding]:
        small = wire.request_bytes("GET", _HEALTH, self._route.endpoint.authority, {"User-Agent": _AGENT})
        try:
            begun = time.time()
            async with wire.tls_session(self._route, self._trust.verifying) as (reader, writer):
                asked = time.time()
                answer = await wire.exchange(reader, writer, small, self._route.timeout_s)
                ended = time.time()
        except (OSError, TimeoutError, EOFError, NotHttp, LinkError) as error:
            return [self._note("clock", "warn", f"no answer to tell the time by: {words_for(error)}")]
        findings = [self._clock(answer, begun, (asked + ended) / 2)]
        findings.append(await self._large())
        return findings

    def _clock(self, answer: HttpAnswer, begun: float, now: float) -> Finding:
        try:
            told = parsedate_to_datetime(answer.fields["date"]).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            return self._note("clock", "warn", "the answer carries no date to compare with")
        # A date has whole seconds: it lies up to one before the moment that it means.
        skew = told + 0.5 - now
        seen = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine (asked for {now - begun:.1f} s)"
        if abs(skew) <= CLOCK_OK_S:
            return self._note("clock", "ok", f"within {CLOCK_OK_S:.0f} s of the control plane's")
        advice = "set the clock of this machine or of the control plane (NTP): certificates and tokens are dated"
        return self._note(
            "clock", "fail" if abs(skew) > CLOCK_BAD_S else "warn", f"the control plane is {seen}", advice
        )

    async def _large(self) -> Finding:
        """Whether packets of full size get through: those that do not fit somewhere may vanish without a word."""
        request = wire.request_bytes("GET", _HEALTH, self._route.endpoint.authority, _PADDING)
        try:
            async with wire.tls_session(self._route, self._trust.verifying) as (reader, writer):
                segment = _segment_bytes(writer)
                await wire.exchange(reader, writer, request, self._route.timeout_s)
        except TimeoutError:
            advice = (
                "packets of full size vanish on the way: lower the MTU of this machine's interface (try 1400, then"
                " 1280), or let ICMP 'fragmentation needed' and 'packet too big' through; in between, clamp the MSS"
            )
            return self._note("large packets", "fail", f"{len(request)} bytes at once were not answered", advice)
        except (OSError, EOFError, NotHttp, LinkError) as error:
            advice = "something in between limits what it lets through; a configuration is larger than this"
            return self._note("large packets", "fail", f"{len(request)} bytes at once: {words_for(error)}", advice)
        shown = f", segments of {segment} bytes" if segment else ""
        return self._note("large packets", "ok", f"{len(request)} bytes at once{shown}")


_AGENT = f"twinplane-network-check/{__version__}"
_LOOK_BETWEEN = "something in between answers in place of the control plane: look for a load balancer, proxy or portal"
_UNTRUSTED = (18, 19, 20, 21)


def _interception(presented: Presented, name: str) -> str:
    """What to do where the certificate is made up by somebody in between; empty where that is not likely."""
    maker = opener(presented)
    if maker is not None:
        return f"{maker} opens TLS in between: exempt {name} from inspection there"
    if covers(presented, name):
        return (
            "either the authority of the control plane is missing in lua_ssl_trusted_certificate (ca.pem of a built-in"
            " one), or a device in between opens TLS: compare the issuer above with the control plane's, and exempt"
            f" {name} from inspection"
        )
    return ""


def _upgrade_advice(status: int) -> str:
    if status in (404, 421):
        return "the address answers, but not as this link: check the host name that is dialled and the server name"
    if status in (400, 405, 426, 501):
        return "something in between does not pass WebSocket upgrades on: let Connection and Upgrade through"
    if status in (502, 503, 504):
        return "whoever answers does not reach the control plane: look at the load balancer and at the control plane"
    return _LOOK_BETWEEN


def _segment_bytes(writer: asyncio.StreamWriter) -> int:
    """The largest segment that TCP agreed on; 0 where that is not told."""
    connection: socket.socket | None = writer.get_extra_info("socket")
    option = getattr(socket, "TCP_MAXSEG", None)
    if connection is None or option is None:
        return 0
    try:
        return connection.getsockopt(socket.IPPROTO_TCP, option)
    except OSError:
        return 0
