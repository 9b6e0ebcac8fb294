"""A small TLS front for tests of the links: hands on who a peer is, as the real one does, to a Unix socket."""

from __future__ import annotations

import asyncio
import base64
import ssl
from pathlib import Path

from tests.certificates import Leaf

_STRIPPED = ("client-cert", "client-cert-chain", "twinplane-sni", "twinplane-peer")


class FrontDoor:
    """Listens on loopback; can be shut and opened again on the same port."""

    def __init__(self, directory: Path, leaf: Leaf, socket_path: Path, *, clients: list[str]) -> None:
        (directory / "door.pem").write_text(leaf.certificate)
        (directory / "door.key").write_text(leaf.key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(directory / "door.pem", directory / "door.key")
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        for pem in clients:
            self._context.load_verify_locations(cadata=pem)
        self._names: dict[ssl.SSLObject, str] = {}
        self._context.sni_callback = self._note_name
        self._socket_path = socket_path
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Cut all connections and take no more."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _note_name(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self._names[connection] = name or ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up: asyncio.StreamWriter | None = None
        try:
            head = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1")
            up_reader, up = await asyncio.open_unix_connection(self._socket_path)
            up.write(self._marked(head, writer).encode("latin-1"))
            ways = [asyncio.create_task(_pump(reader, up)), asyncio.create_task(_pump(up_reader, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()
            if up is not None:
                up.transport.abort()

    def _marked(self, head: str, writer: asyncio.StreamWriter) -> str:
        connection = writer.get_extra_info("ssl_object")
        certificate = connection.getpeercert(binary_form=True)
        lines = [line for line in head.split("\r\n") if line.partition(":")[0].lower() not in _STRIPPED]
        address, port = writer.get_extra_info("peername")[:2]
        lines += [f"Twinplane-Sni: {self._names.get(connection, '')}", f"Twinplane-Peer: {address}:{port}"]
        if certificate:
            lines.append(f"Client-Cert: :{base64.b64encode(certificate).decode()}:")
        return "\r\n".join([*lines, "", ""])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
