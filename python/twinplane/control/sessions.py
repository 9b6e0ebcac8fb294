"""Sessions of people: begun with a token, carried by a cookie, ended by hand, by silence, by age, or with their token.

The store keeps a keyed hash of the cookie's secret, so a copy of it signs nobody in.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from twinplane.control.audit import AuditNote, write_audit
from twinplane.control.records import Principal
from twinplane.control.scope import Actor
from twinplane.control.token_secret import keyed_hash
from twinplane.control.tokens import Tokens
from twinplane.store.errors import StoreError
from twinplane.store.sql import Database, SessionRow

IDLE_S = 3600.0
"""A session that was not used for so long is over."""
LIFETIME_S = 12 * 3600.0
"""No session lives longer, however much it is used."""
SESSIONS_MAX = 50
"""Sessions of one user at a time; the oldest give way."""

_SECRET_LENGTH = 43
_TOUCH_EVERY_S = 60.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """A person who is signed in. `form_token` must come back with whatever they change."""

    principal: Principal
    form_token: str
    expires_at: float

    def allows(self, form_token: str) -> bool:
        """Whether a form was made for this session."""
        return hmac.compare_digest(self.form_token.encode(), form_token.encode())


class Sessions:
    """Who is signed in."""

    def __init__(self, database: Database, key: bytes, tokens: Tokens, clock: Callable[[], float]) -> None:
        self._database = database
        self._key = key
        self._tokens = tokens
        self._clock = clock

    def begin(self, bearer: str, *, client_ip: str = "") -> tuple[str, Session]:
        """Sign in with a token: the secret for the cookie, never told again, and the session. Raises TokenInvalid."""
        principal = self._tokens.authenticate(bearer)
        now = self._clock()
        secret = secrets.token_urlsafe(32)
        row = SessionRow(
            hash=self._hash(secret),
            organization_id=principal.organization_id,
            user_id=principal.user_id,
            token_id=principal.token_id,
            created_at=now,
            last_used_at=now,
        )
        with self._database.writing() as tx:
            tx.sessions.add(row)
            write_audit(tx, [_begun(row, principal.actor, client_ip)], now=now)
            tx.sessions.remove_oldest(row.organization_id, row.user_id, kept=SESSIONS_MAX)
        return secret, self._session(secret, row, principal)

    def find(self, secret: str) -> Session | None:
        """The session of a cookie; None where there is none, or it is over."""
        if len(secret) != _SECRET_LENGTH or not secret.isascii():
            return None
        now = self._clock()
        with self._database.reading() as tx:
            row = tx.sessions.by_hash(self._hash(secret))
            token = user = None
            if row is not None:
                token = tx.identity.token(row.organization_id, row.user_id, row.token_id)
                user = tx.identity.user(row.organization_id, row.user_id)
        if row is None or token is None or user is None or not user.active:
            return None
        if token.revoked_at is not None or token.expires_at <= now:
            return None
        if not (now - row.last_used_at < IDLE_S and now - row.created_at < LIFETIME_S):
            return None
        self._touch(row, now)
        actor = Actor("user", user.id, user.preferred_name or user.full_name or user.email)
        return self._session(secret, row, Principal(actor, row.organization_id, row.user_id, row.token_id))

    def end(self, secret: str) -> bool:
        """Sign out. False where the session was over already."""
        with self._database.writing() as tx:
            return tx.sessions.remove(self._hash(secret))

    def purge(self) -> int:
        """Forget sessions that are over. Returns how many."""
        now = self._clock()
        with self._database.writing() as tx:
            return tx.sessions.remove_older(last_used_before=now - IDLE_S, created_before=now - LIFETIME_S)

    def _touch(self, row: SessionRow, now: float) -> None:
        if now - row.last_used_at < _TOUCH_EVERY_S:
            return
        try:
            with self._database.writing() as tx:
                tx.sessions.touch(row.hash, at=now)
        except StoreError:
            # Who may read does not depend on whether the disk takes a note of it.
            _log.warning("session_use_not_noted user=%s", row.user_id)

    def _session(self, secret: str, row: SessionRow, principal: Principal) -> Session:
        return Session(principal, keyed_hash(self._key, f"form {secret}"), row.created_at + LIFETIME_S)

    def _hash(self, secret: str) -> str:
        return keyed_hash(self._key, f"session {secret}")


def _begun(row: SessionRow, actor: Actor, client_ip: str) -> AuditNote:
    detail = {"token_id": row.token_id}
    return AuditNote("session.begun", row.organization_id, actor=actor, client_ip=client_ip or None, detail=detail)
