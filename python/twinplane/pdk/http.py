"""Requests that plugins make of their own, over connections that all plugins of a node share. Everything is bounded."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import orjson

from twinplane.pdk.content_encoding import ACCEPTED, BodyTooLong, Unpacker

if TYPE_CHECKING:
    import httpx

_KEPT_S = 30.0


class HttpFailed(Exception):
    """There is no answer; the text says why."""


class HttpResponseTooLarge(HttpFailed):
    """The answer is longer than the node allows."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; values of the same name are joined by commas."""
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON. Raises ValueError where it is none."""
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What the requests of all plugins may take."""

    connections_max: int = 100
    response_bytes_max: int = 8 * 1024 * 1024
    timeout_s: float = 1.0
    """How long a request may take as a whole, where it does not say otherwise."""


class HttpPool:
    """The connections. Made when the first request is, since most plugins make none."""

    def __init__(self, limits: HttpLimits, trust: Callable[[], ssl.SSLContext] = ssl.create_default_context) -> None:
        self.limits = limits
        self._trust = trust
        self._client: httpx.AsyncClient | None = None
        self.counts: Counter[tuple[str, str]] = Counter()
        """Requests by plugin and result: answered, failed, late, too_large."""

    def client(self) -> httpx.AsyncClient:
        """What sends; the loop of plugins alone asks for it. Raises HttpFailed."""
        if self._client is None:
            import httpx  # noqa: PLC0415 - takes memory, and most nodes never need it

            limits = httpx.Limits(max_connections=self.limits.connections_max, keepalive_expiry=_KEPT_S)
            try:
                trust = self._trust()
            except (OSError, ValueError) as error:
                raise HttpFailed(f"what certificates to trust cannot be read: {error}") from error
            self._client = httpx.AsyncClient(
                verify=trust,
                limits=limits,
                # The request's own time is the limit; nothing comes from the environment.
                timeout=httpx.Timeout(None),
                trust_env=False,
                cookies=_no_cookies(),
                headers={"Accept-Encoding": ACCEPTED},
            )
        return self._client

    async def close(self) -> None:
        """Close what is kept."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


class Http:
    """One plugin's way out. For phases, tasks and `log` that are `async`; redirects are not followed."""

    def __init__(self, pool: HttpPool, plugin: str) -> None:
        self._pool = pool
        self._plugin = plugin

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> HttpResponse:
        """Ask with GET. Raises HttpFailed."""
        return await self.request("GET", url, headers=headers, params=params, timeout_s=timeout_s)

    async def post(
        self,
        url: str,
        *,
        json: object = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> HttpResponse:
        """Ask with POST: `json`, or `body` as it is. Raises HttpFailed."""
        return await self.request("POST", url, json=json, body=body, headers=headers, timeout_s=timeout_s)

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: object = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> HttpResponse:
        """Ask. Raises HttpFailed where this cannot be sent, or no whole answer comes in time."""
        told = dict(headers or {})
        if json is not None:
            body = orjson.dumps(json)
            told.setdefault("Content-Type", "application/json")
        limits = self._pool.limits
        result = "failed"
        try:
            async with asyncio.timeout(limits.timeout_s if timeout_s is None else timeout_s):
                response = await self._ask(method, url, told, params, body)
            result = "answered"
        except TimeoutError as error:
            result = "late"
            raise HttpFailed(f"{method} {url}: no answer in time") from error
        except HttpResponseTooLarge:
            result = "too_large"
            raise
        finally:
            self._pool.counts[self._plugin, result] += 1
        return response

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], params: Mapping[str, str] | None, body: bytes | None
    ) -> HttpResponse:
        client = self._pool.client()
        import httpx  # noqa: PLC0415 - loaded by now

        most = self._pool.limits.response_bytes_max
        try:
            async with client.stream(method, url, headers=dict(headers), params=params, content=body) as response:
                unpacker = Unpacker(response.headers.get("Content-Encoding", ""), most)
                pieces = [unpacker.unpack(piece) async for piece in response.aiter_raw()]
                unpacker.end()
                return HttpResponse(response.status_code, dict(response.headers), b"".join(pieces))
        except BodyTooLong as error:
            raise HttpResponseTooLarge(f"{method} {url}: the answer is longer than {most} bytes") from error
        # ValueError: what is no text of a header, no host name, no compressed body.
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            raise HttpFailed(f"{method} {url}: {error or type(error).__name__}") from error


def _no_cookies() -> CookieJar:
    # What a server tells one plugin on behalf of one caller is nothing for the next request.
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))
