"""The port that audit lines of a node go to. Never keeps a node from working, so that nothing here is a failure."""

from __future__ import annotations

import asyncio
import socket
import ssl

from twinplane.cli.network import wire
from twinplane.cli.network.failures import advice_for, words_for
from twinplane.cli.network.findings import Finding
from twinplane.cli.network.wire import Route
from twinplane.hybrid.errors import LinkError

_UDP_WAIT_S = 0.5


async def check_audit_port(route: Route, context: ssl.SSLContext, transport: str) -> list[Finding]:
    """TCP by a handshake, UDP by what comes back (mostly nothing, which is well)."""
    target = f"audit lines {route.endpoint.authority}"
    tcp, udp = await asyncio.gather(_tcp(target, route, context), _udp(target, route, is_used=transport == "udp"))
    return [tcp, udp]


async def _tcp(target: str, route: Route, context: ssl.SSLContext) -> Finding:
    try:
        async with wire.tls_session(route, context):
            return Finding(target, "TCP", "ok", "TLS answers")
    except (OSError, TimeoutError, EOFError, LinkError) as error:
        step = "connect" if isinstance(error, ConnectionRefusedError) else "tls"
        advice = advice_for(step, error)
        advice += "; or let audit lines stay on the node (audit_transport = off). Traffic is not concerned"
        return Finding(target, "TCP", "warn", words_for(error), advice)


async def _udp(target: str, route: Route, *, is_used: bool) -> Finding:
    """An empty datagram, which is nobody's line: a port that is shut answers it by ICMP, where that is let through."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(route.timeout_s):
            found = await loop.getaddrinfo(route.endpoint.host, route.endpoint.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setblocking(False)
            probe.connect(address)
            probe.send(b"")
            await asyncio.sleep(_UDP_WAIT_S)
            # Where the first one was refused, this one meets the error.
            probe.send(b"")
    except (OSError, TimeoutError) as error:
        return _shut(target, error, is_used=is_used)
    return Finding(target, "UDP", "ok", "nothing comes back, which is all that UDP tells; loss is counted by sequence")


def _shut(target: str, error: Exception, *, is_used: bool) -> Finding:
    if not is_used:
        return Finding(target, "UDP", "ok", f"{words_for(error)}; not used (audit_transport is tcp)")
    advice = "open the port for UDP, or send by TCP (audit_transport = tcp)"
    return Finding(target, "UDP", "warn", words_for(error), advice)
