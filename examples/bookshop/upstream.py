"""A small real upstream for the example: a bookshop with books, orders and reviews, kept in memory.

`python3 examples/bookshop/upstream.py [PORT]` listens on loopback (port 9100; 0 takes any free one and prints it).
`GET /served` tells how many requests of each path it has answered: what a gateway refused never shows up there.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from http import HTTPStatus

BOOKS = {
    "1": {"id": "1", "title": "The Left Hand of Darkness", "price_cents": 1299},
    "2": {"id": "2", "title": "Solaris", "price_cents": 999},
    "3": {"id": "3", "title": "Kindred", "price_cents": 1199},
}
BODY_BYTES_MAX = 1024 * 1024


class Bookshop:
    """Books are fixed; orders and reviews grow with what is posted, up to a limit."""

    def __init__(self) -> None:
        self.orders: dict[str, dict[str, object]] = {}
        self.reviews: list[dict[str, object]] = []
        self.served: Counter[str] = Counter()

    def answer(self, method: str, path: str, body: bytes) -> tuple[HTTPStatus, object]:
        """What the shop says to one request."""
        if path == "/served":
            return HTTPStatus.OK, dict(self.served)
        parts = path.strip("/").split("/")
        self.served[parts[0]] += 1
        match method, *parts:
            case "GET" | "HEAD", "books":
                return HTTPStatus.OK, list(BOOKS.values())
            case "GET" | "HEAD", "books", number if number in BOOKS:
                return HTTPStatus.OK, BOOKS[number]
            case "GET" | "HEAD", "orders":
                return HTTPStatus.OK, list(self.orders.values())[-100:]
            case "POST", "orders":
                return self._order(body)
            case "GET" | "HEAD", "reviews":
                return HTTPStatus.OK, self.reviews[-100:]
            case "POST", "reviews":
                self.reviews = [*self.reviews[-999:], {"text": body.decode(errors="replace")[:1000]}]
                return HTTPStatus.CREATED, self.reviews[-1]
            case "GET", "fail":
                return HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "the shelf fell over"}
        return HTTPStatus.NOT_FOUND, {"error": "no such page in this shop"}

    def _order(self, body: bytes) -> tuple[HTTPStatus, object]:
        try:
            book = json.loads(body or b"{}").get("book")
        except (ValueError, AttributeError):
            return HTTPStatus.BAD_REQUEST, {"error": "an order is a JSON object with a book"}
        if book not in BOOKS:
            return HTTPStatus.UNPROCESSABLE_ENTITY, {"error": "an order names a book of this shop"}
        number = str(len(self.orders) + 1)
        if len(self.orders) < 10_000:
            self.orders[number] = {"id": number, "book": book}
        return HTTPStatus.CREATED, {"id": number, "book": book}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, kept open between them."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request_line, *fields = head.decode("latin-1").split("\r\n")
                method, target, _ = request_line.split(" ")
                length = next((int(f.split(":")[1]) for f in fields if f.lower().startswith("content-length:")), 0)
                body = await reader.readexactly(min(length, BODY_BYTES_MAX))
                status, document = self.answer(method, target.partition("?")[0], body)
                data = json.dumps(document).encode() + b"\n"
                writer.write(
                    f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(data)}\r\n\r\n".encode()
                    + (b"" if method == "HEAD" else data)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()


async def main() -> None:
    """Listen until stopped."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9100
    server = await asyncio.start_server(Bookshop().serve, "127.0.0.1", port, backlog=1024)
    print(f"bookshop listens on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
