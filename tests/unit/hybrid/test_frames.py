"""Both ends of the framing talk over a real socket pair; what the protocol forbids ends the connection."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from twinplane.hybrid.errors import PeerGone, PeerSilent, UpgradeRefused
from twinplane.hybrid.frames import BINARY, PING, PONG, FrameStream, Upgrade, open_link, server_frame


@asynccontextmanager
async def pair(*, bytes_max: int = 1_000_000) -> AsyncIterator[tuple[FrameStream, FrameStream]]:
    """A client's and a server's end of one link."""
    accepted: asyncio.Future[FrameStream] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upgrade = Upgrade(reader, writer, bytes_max=bytes_max)
        request = await upgrade.read(5)
        assert request is not None
        assert request.headers["Host"] == "cp.example:8005"
        stream = await upgrade.accept(request, {"Twinplane-Link": "1"})
        assert stream is not None
        accepted.set_result(stream)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client, response = await open_link(
        reader,
        writer,
        host="cp.example:8005",
        target="/v1/outlet?node_id=1",
        headers={"Twinplane-Link": "1"},
        bytes_max=bytes_max,
        timeout_s=5,
    )
    assert response.headers["Twinplane-Link"] == "1"
    other = await accepted
    try:
        yield client, other
    finally:
        client.abort()
        other.abort()
        server.close()
        await server.wait_closed()


async def test_pings_are_handed_up_and_not_answered() -> None:
    async with pair() as (client, server):
        await client.send_ping(b"a" * 32)
        ping = await server.receive(5)
        assert (ping.opcode, ping.data) == (PING, b"a" * 32)
        await server.send_pong()
        pong = await client.receive(5)
        assert (pong.opcode, pong.data) == (PONG, b"")
        await server.send_ping(b"")
        assert (await client.receive(5)).opcode is PING
        with pytest.raises(PeerSilent):
            await server.receive(0.05)


async def test_messages_cross_whole() -> None:
    async with pair() as (client, server):
        for size in (0, 125, 126, 65_535, 65_536, 900_000):
            await asyncio.gather(client.send_binary(b"x" * size), self_receive(server, size))
            await asyncio.gather(server.send_ready(server_frame(b"y" * size)), self_receive(client, size))


async def self_receive(stream: FrameStream, size: int) -> None:
    message = await stream.receive(5)
    assert message.opcode is BINARY
    assert len(message.data) == size


async def test_too_large_a_message_ends_the_connection() -> None:
    async with pair(bytes_max=1000) as (client, server):
        with contextlib.suppress(PeerGone):
            await client.send_binary(b"x" * 1001)
        with pytest.raises(PeerGone, match="1001"):
            await server.receive(5)
        with pytest.raises(PeerGone):
            await client.receive(5)


async def test_a_fragment_ends_the_connection() -> None:
    async with pair() as (client, server):
        client._writer.write(struct.pack("!BB4s", 0x02, 0x81, b"\0\0\0\0") + b"x")
        with pytest.raises(PeerGone, match="fragment"):
            await server.receive(5)


async def test_a_close_is_answered_and_ends_the_stream() -> None:
    async with pair() as (client, server):
        await server.close()
        with pytest.raises(PeerGone, match="closed"):
            await client.receive(5)
        with pytest.raises(PeerGone):
            await client.send_binary(b"late")


async def test_a_refused_upgrade_tells_why() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upgrade = Upgrade(reader, writer, bytes_max=10)
        assert await upgrade.read(5) is not None
        await upgrade.refuse(401, '{"message":"no client certificate provided in request"}', "application/json")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(UpgradeRefused, match="no client certificate") as refused:
        await open_link(reader, writer, host="h", target="/v1/outlet", headers={}, bytes_max=10, timeout_s=5)
    assert refused.value.status == 401
    writer.close()
    server.close()
    await server.wait_closed()


async def test_what_is_no_http_is_dropped() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await Upgrade(reader, writer, bytes_max=10).read(1) is None
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    await asyncio.wait_for(reader.read(), 5)
    writer.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("behind", [b"", b"\xff" * 100, b"\x81\x85\0\0\0\0hello", b"GET / HTTP/1.1\r\n\r\n"])
@pytest.mark.parametrize("is_upgrade", [True, False])
async def test_what_follows_a_refused_request_does_not_stand_in_the_way_of_its_answer(
    behind: bytes, is_upgrade: bool
) -> None:
    served: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upgrade = Upgrade(reader, writer, bytes_max=1_000)
            request = await upgrade.read(5)
            assert request is not None
            if is_upgrade:
                await upgrade.refuse(401, "no", "text/plain")
            else:
                assert await upgrade.accept(request, {}) is None
        except BaseException as error:
            served.set_exception(error)
        else:
            served.set_result(None)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
    headers = "Connection: Upgrade\r\nUpgrade: websocket\r\n" if is_upgrade else ""
    writer.write(f"GET /v1/outlet HTTP/1.1\r\nHost: cp.example\r\n{headers}\r\n".encode() + behind)
    async with asyncio.timeout(10):
        await served
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 401 " if is_upgrade else b"HTTP/1.1 426 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    writer.close()
    server.close()
    await server.wait_closed()
