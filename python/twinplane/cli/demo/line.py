"""A caller's own connection to the node: kept between requests, opened again when it ended, bounded in time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import h11

ANSWER_SECONDS = 15.0
_READ_BYTES = 64 * 1024


class LineError(Exception):
    """There was no answer."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go. With `tls` the server is asked for by `host`, and verified."""

    port: int
    host: str
    tls: ssl.SSLContext | None = None


class Line:
    """One connection, one request at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._state = h11.Connection(h11.CLIENT)

    async def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> int:
        """The status of the answer. Raises LineError."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._ask(method, target, headers, body)
        except (OSError, h11.ProtocolError) as error:
            self.close()
            raise LineError(str(error)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> int:
        reader, writer = await self._opened()
        fields = [("Host", self._address.host), ("Content-Length", str(len(body))), *headers.items()]
        events = (h11.Request(method=method, target=target, headers=fields), h11.Data(data=body), h11.EndOfMessage())
        writer.write(b"".join(self._state.send(event) or b"" for event in events))
        await writer.drain()
        status = await self._status(reader)
        if self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()
        else:
            self.close()
        return status

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None or self._streams[0].at_eof():
            self.close()
            address = self._address
            name = address.host if address.tls is not None else None
            self._streams = await asyncio.open_connection(
                "127.0.0.1", address.port, ssl=address.tls, server_hostname=name
            )
            self._state = h11.Connection(h11.CLIENT)
        return self._streams

    async def _status(self, reader: asyncio.StreamReader) -> int:
        """Read one answer to its end."""
        status = 0
        while True:
            event = self._state.next_event()
            if event is h11.NEED_DATA:
                self._state.receive_data(await reader.read(_READ_BYTES))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.EndOfMessage):
                return status
            elif not isinstance(event, h11.Data | h11.InformationalResponse):
                raise LineError("the connection ended before the answer did")
