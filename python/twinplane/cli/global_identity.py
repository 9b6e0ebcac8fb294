"""Asks the process that serves `global` whom a token speaks for, where a region runs without a share in its store.

Answers are kept for two seconds, so that a revoked token ends within five; without an answer nobody is let in. Nodes
are not concerned: their certificates are the region's own.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import time
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from twinplane.cli.errors import StartError
from twinplane.control import Actor, Organization, Principal, User
from twinplane.control.errors import TokenInvalid
from twinplane.control.global_data import Caller
from twinplane.control.token_secret import is_well_formed
from twinplane.store.errors import StoreError

KEPT_S = 2.0
KEPT_MAX = 10_000
TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 65_536


class GlobalUnreachable(StoreError):
    """Global data cannot be asked for at the moment."""


class GlobalIdentity:
    """Callers, as the keeper of global data knows them. Safe to call from many threads."""

    def __init__(self, url: str, authority: Path | None) -> None:
        """Raises StartError where the authority cannot be read."""
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        try:
            self._context = ssl.create_default_context(cafile=str(authority) if authority else None)
        except OSError as error:
            raise StartError(f"global-ca: {authority}: cannot be read: {error}") from error
        self._lock = Lock()
        self._kept: dict[bytes, tuple[float, Caller]] = {}

    def ask(self, bearer: str) -> Caller:
        """Whom a token speaks for. Raises TokenInvalid, GlobalUnreachable."""
        if not is_well_formed(bearer):
            raise TokenInvalid
        key, now = hashlib.sha256(bearer.encode()).digest(), time.monotonic()
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and now - kept[0] < KEPT_S:
            return kept[1]
        caller = self._ask(bearer)
        with self._lock:
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            self._kept[key] = (now, caller)
        return caller

    def _ask(self, bearer: str) -> Caller:
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT_S, context=self._context)
        try:
            organization = _organization(_get(connection, "/v3/organizations/me", bearer))
            user = _user(_get(connection, "/v3/users/me", bearer), organization.id)
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise GlobalUnreachable(f"the address of global data gives no usable answer: {error}") from error
        finally:
            connection.close()
        if not user.active:
            raise TokenInvalid
        actor = Actor("user", user.id, user.preferred_name or user.full_name or user.email)
        return Caller(Principal(actor, organization.id, user.id, ""), organization, user)


def _get(connection: http.client.HTTPSConnection, path: str, bearer: str) -> Any:
    connection.request("GET", path, headers={"Authorization": f"Bearer {bearer}", "Accept": "application/json"})
    response = connection.getresponse()
    body = response.read(ANSWER_BYTES_MAX)
    if response.status == 401:
        raise TokenInvalid
    if response.status != 200:
        raise ValueError(f"GET {path} was answered with {response.status}")
    return json.loads(body)


def _organization(told: Any) -> Organization:
    return Organization(
        str(told["id"]), str(told["name"]), str(told["state"]), _time(told["created_at"]), _time(told["updated_at"])
    )


def _user(told: Any, organization_id: str) -> User:
    return User(
        id=str(told["id"]),
        organization_id=organization_id,
        email=str(told["email"]),
        full_name=str(told["full_name"]),
        preferred_name=str(told["preferred_name"]),
        active=told["active"] is True,
        created_at=_time(told["created_at"]),
        updated_at=_time(told["updated_at"]),
    )


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
