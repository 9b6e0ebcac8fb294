"""A small blocking client of the platform's own API, for the commands that act as a user would."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

from twinplane.cli.errors import StartError

_TIMEOUT_SECONDS = 10.0


class PlatformClient:
    """Calls one address, over TLS where `ca_path` or `is_tls` says so, else in the clear (status port, loopback).

    With `ca_path` the peer is verified against it, else against the authorities of the system; `verifies=False` is for
    asking this very machine whether something answers, and sends no token.
    """

    def __init__(
        self,
        host: str,
        port: int,
        ca_path: Path | None,
        token: str | None = None,
        *,
        is_tls: bool = False,
        verifies: bool = True,
    ) -> None:
        self._host, self._port, self._ca_path = host, port, ca_path
        self._token = token if verifies else None
        self._is_tls = is_tls or ca_path is not None
        self._verifies = verifies

    def with_token(self, token: str) -> PlatformClient:
        """The same address, with a bearer token."""
        return PlatformClient(self._host, self._port, self._ca_path, token, is_tls=self._is_tls)

    def is_healthy(self) -> bool:
        """Whether the control plane answers that it is well."""
        return self._answers_ok("/health")

    def is_ready(self) -> bool:
        """Whether a node answers that it serves."""
        return self._answers_ok("/status/ready")

    def call(self, method: str, path: str, body: Any = None, *, host: str | None = None) -> Any:
        """The JSON answer of a call that must succeed. `host` is asked for in place of the address that is dialled."""
        status, data = self._request(method, path, body, host)
        if status >= 300:
            raise StartError(f"{method} {path} was answered with {status}: {data.decode(errors='replace')[:500]}")
        return json.loads(data) if data else None

    def _answers_ok(self, path: str) -> bool:
        if self._ca_path is not None and not self._ca_path.exists():
            return False
        try:
            return self._request("GET", path, None)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _request(self, method: str, path: str, body: Any, host: str | None = None) -> tuple[int, bytes]:
        connection = self._connection()
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if host is not None:
            headers["Host"] = host
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if not self._is_tls:
            return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        context = ssl.create_default_context(cafile=str(self._ca_path) if self._ca_path else None)
        if not self._verifies:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS, context=context)
