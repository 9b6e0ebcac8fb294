"""A request that is over, as its log entry tells of it: read like any other, and changed no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": "80", "https": "443"}


class LoggedVisit:
    """What calls of the log phase look at."""

    plugin_id = ""
    is_over = True
    is_anonymous = False

    def __init__(self, entry: Mapping[str, Any], plugin: str) -> None:
        self.entry = entry
        self.plugin = plugin
        self._request: Mapping[str, Any] = entry.get("request") or {}
        self._response: Mapping[str, Any] = entry.get("response") or {}

    @property
    def request_id(self) -> str:
        """The id that client and upstream were told."""
        return str(self._request.get("id", ""))

    @property
    def status(self) -> int:
        """The status that the client got."""
        return int(self._response.get("status", 0))

    @property
    def upstream_status(self) -> int | None:
        """The status that the upstream gave."""
        told = str(self.entry.get("upstream_status") or "")
        return int(told) if told.isdecimal() else None

    def fact(self, name: str) -> str:
        """A fact of the request. Raises LookupError where the entry does not tell it."""
        uri, url = str(self._request.get("uri", "")), urlsplit(str(self._request.get("url", "")))
        tls: Mapping[str, Any] = self._request.get("tls") or {}
        told: dict[str, Any] = {
            "method": self._request.get("method"),
            "target": uri,
            "path": uri.partition("?")[0],
            "query": uri.partition("?")[2],
            "scheme": url.scheme,
            "forwarded_scheme": url.scheme,
            "host": self.header(False, "host") or url.hostname,
            "port": url.port or _DEFAULT_PORTS.get(url.scheme, ""),
            "client_ip": self.entry.get("client_ip"),
            "source": self.entry.get("source"),
            "started_us": int(self.entry.get("started_at", 0)) * 1000,
            "tls_version": tls.get("version", ""),
            "tls_cipher": tls.get("cipher", ""),
            "is_trusted": "",
        }
        found = told.get(name)
        if found is None:
            raise LookupError(f"what is logged of a request does not tell its {name.replace('_', ' ')}")
        return str(found)

    def header(self, is_response: bool, name: str) -> str | None:
        """The first value of a header."""
        values = self.header_values(is_response, name)
        return values[0] if values else None

    def header_values(self, is_response: bool, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.headers(is_response) if key.lower() == name.lower()]

    def headers(self, is_response: bool) -> list[tuple[str, str]]:
        """Name and value of each header."""
        told: Mapping[str, Any] = (self._response if is_response else self._request).get("headers") or {}
        return [
            (name, str(each))
            for name, value in told.items()
            for each in (value if isinstance(value, list) else [value])
        ]

    def consumer(self) -> Any:
        """Who asked."""
        return self.entry.get("consumer")

    def credential(self) -> tuple[str, str] | None:
        """Kind and id of the credential that was used."""
        used = self.entry.get("authenticated_entity")
        return None if used is None else ("", str(used["id"]))

    def route(self) -> Any:
        """The route."""
        return self.entry.get("route")

    def service(self) -> Any:
        """Its service."""
        return self.entry.get("service")

    def captures(self) -> list[tuple[str, str]]:
        """An entry tells none."""
        return []
