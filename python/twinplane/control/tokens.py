"""Personal access tokens: made once, shown once, kept as keyed hashes, ended by time or by hand."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock

from twinplane.control.audit import AuditNote, write_audit
from twinplane.control.errors import (
    InvalidParameter,
    InvalidParameters,
    LimitExceeded,
    NameTaken,
    NotFound,
    TokenExpired,
    TokenInvalid,
    TokenRevoked,
)
from twinplane.control.organizations import make_first
from twinplane.control.records import Principal, Token
from twinplane.control.scope import Actor
from twinplane.control.token_secret import is_well_formed, keyed_hash, new_secret
from twinplane.store.errors import StoreError
from twinplane.store.sql import Database, TokenRow, UserRow

_log = logging.getLogger(__name__)

TOKENS_MAX = 10
LIFETIME_DAYS_MAX = 365
NAME_LENGTH_MAX = 250

_DAY_S = 86_400.0
# Noting each use would make every read a write; once in a while is enough for "last used".
_TOUCH_EVERY_S = 300.0
# Revoking must take effect within seconds, also where another process did it.
_CACHE_S = 2.0
_CACHE_MAX = 10_000


class Tokens:
    """Personal access tokens of an organization's users."""

    def __init__(self, database: Database, key: bytes, clock: Callable[[], float]) -> None:
        self._database = database
        self._key = key
        self._clock = clock
        self._lock = Lock()
        self._known: dict[str, tuple[float, TokenRow, UserRow]] = {}

    def ensure_first(self, deliver: Callable[[str], None] | None = None) -> str | None:
        """The first admin token, made and told once: on the very first start. None later.

        `deliver` writes it down before it counts: a token that nobody was told is made anew at the next start.
        """
        now = self._clock()
        secret = new_secret()
        with self._database.writing() as tx:
            if tx.meta.get("first_token_made") is not None:
                return None
            organization_id = make_first(tx, now=now)
            user = tx.identity.users(organization_id)[0]
            expires_at = now + LIFETIME_DAYS_MAX * _DAY_S
            row = self._row(user, "first admin token", secret, expires_at=expires_at)
            tx.identity.add_token(row)
            write_audit(tx, [_note("token.created", row, Actor("system", "system", "first start"))], now=now)
            tx.meta.put("first_token_made", user.id)
            if deliver is not None:
                deliver(secret)
        return secret

    def create(
        self,
        organization_id: str,
        user_id: str,
        name: str,
        *,
        expires_at: float | None = None,
        actor: Actor | None = None,
    ) -> tuple[Token, str]:
        """A new token and its secret, which is never shown again. Without `expires_at` it lives a year."""
        now = self._clock()
        ends = now + LIFETIME_DAYS_MAX * _DAY_S if expires_at is None else expires_at
        _check(name, ends, now)
        secret = new_secret()
        with self._database.writing() as tx:
            user = tx.identity.user(organization_id, user_id)
            if user is None:
                raise NotFound("users", {"id": user_id})
            known = tx.identity.tokens(organization_id, user_id)
            if any(token.name == name for token in known):
                raise NameTaken("tokens", "name", name)
            if sum(1 for token in known if _state(token, now) == "ACTIVE") >= TOKENS_MAX:
                raise LimitExceeded("tokens of a user", TOKENS_MAX)
            row = self._row(user, name, secret, expires_at=ends)
            tx.identity.add_token(row)
            write_audit(tx, [_note("token.created", row, actor)], now=now)
        return _token(row, now), secret

    def authenticate(self, bearer: str) -> Principal:
        """Who the token speaks for. Raises TokenInvalid, TokenExpired, TokenRevoked."""
        if not is_well_formed(bearer):
            raise TokenInvalid
        now = self._clock()
        token, user = self._find(keyed_hash(self._key, bearer), now)
        if token.revoked_at is not None:
            raise TokenRevoked
        if token.expires_at <= now:
            raise TokenExpired
        if not user.active:
            raise TokenInvalid
        self._touch(token, now)
        actor = Actor("user", user.id, user.preferred_name or user.full_name or user.email)
        return Principal(actor, token.organization_id, token.user_id, token.id)

    def list(self, organization_id: str, user_id: str) -> Sequence[Token]:
        """All tokens of a user, oldest first."""
        now = self._clock()
        with self._database.reading() as tx:
            return [_token(row, now) for row in tx.identity.tokens(organization_id, user_id)]

    def get(self, organization_id: str, user_id: str, token_id: str) -> Token:
        """One token. Raises NotFound."""
        with self._database.reading() as tx:
            row = tx.identity.token(organization_id, user_id, token_id)
        if row is None:
            raise NotFound("tokens", {"id": token_id})
        return _token(row, self._clock())

    def revoke(self, organization_id: str, user_id: str, token_id: str, *, actor: Actor | None = None) -> Token:
        """Make a token worthless from now on."""
        now = self._clock()
        with self._database.writing() as tx:
            tx.identity.revoke_token(organization_id, user_id, token_id, at=now)
            row = tx.identity.token(organization_id, user_id, token_id)
            if row is not None:
                write_audit(tx, [_note("token.revoked", row, actor)], now=now)
        self._forget()
        if row is None:
            raise NotFound("tokens", {"id": token_id})
        return _token(row, now)

    def delete(self, organization_id: str, user_id: str, token_id: str, *, actor: Actor | None = None) -> None:
        """Forget a token, which makes it worthless too."""
        with self._database.writing() as tx:
            row = tx.identity.token(organization_id, user_id, token_id)
            is_gone = tx.identity.delete_token(organization_id, user_id, token_id)
            if row is not None and is_gone:
                write_audit(tx, [_note("token.deleted", row, actor)], now=self._clock())
        self._forget()
        if not is_gone:
            raise NotFound("tokens", {"id": token_id})

    def _row(self, user: UserRow, name: str, secret: str, *, expires_at: float) -> TokenRow:
        now = self._clock()
        return TokenRow(
            id=str(uuid.uuid4()),
            organization_id=user.organization_id,
            user_id=user.id,
            name=name,
            hash=keyed_hash(self._key, secret),
            created_at=now,
            updated_at=now,
            expires_at=expires_at,
            last_used_at=None,
            revoked_at=None,
        )

    def _find(self, hashed: str, now: float) -> tuple[TokenRow, UserRow]:
        with self._lock:
            known = self._known.get(hashed)
        if known is not None and 0 <= now - known[0] < _CACHE_S:
            return known[1], known[2]
        with self._database.reading() as tx:
            token = tx.identity.token_by_hash(hashed)
            user = None if token is None else tx.identity.user(token.organization_id, token.user_id)
        if token is None or user is None:
            raise TokenInvalid
        with self._lock:
            if len(self._known) >= _CACHE_MAX:
                self._known.clear()
            self._known[hashed] = (now, token, user)
        return token, user

    def _forget(self) -> None:
        with self._lock:
            self._known.clear()

    def _touch(self, token: TokenRow, now: float) -> None:
        if token.last_used_at is not None and now - token.last_used_at < _TOUCH_EVERY_S:
            return
        with self._lock:
            known = self._known.get(token.hash)
            if known is not None:
                self._known[token.hash] = (known[0], replace(known[1], last_used_at=now), known[2])
        try:
            with self._database.writing() as tx:
                tx.identity.touch_token(token.id, at=now)
        except StoreError:
            # Who may read does not depend on whether the disk takes a note of it.
            _log.warning("token_use_not_noted", extra={"token": token.id})


def _note(kind: str, row: TokenRow, actor: Actor | None) -> AuditNote:
    """A record without anything of the secret. Who acts on a token is its owner where nobody else is told."""
    who = actor or Actor("user", row.user_id, "")
    return AuditNote(kind, row.organization_id, actor=who, detail={"token_id": row.id, "token_name": row.name})


def _check(name: str, expires_at: float, now: float) -> None:
    wrong = []
    if not name:
        wrong.append(InvalidParameter("name", "required", "is required"))
    elif len(name) > NAME_LENGTH_MAX:
        reason = f"must not have more than {NAME_LENGTH_MAX} characters"
        wrong.append(InvalidParameter("name", "max_length", reason, extra={"maximum": NAME_LENGTH_MAX}))
    if not now < expires_at <= now + LIFETIME_DAYS_MAX * _DAY_S + 60:
        reason = f"must be in the future, within {LIFETIME_DAYS_MAX} days"
        wrong.append(InvalidParameter("expires_at", "is_date_time", reason))
    if wrong:
        raise InvalidParameters(wrong)


def _state(row: TokenRow, now: float) -> str:
    if row.revoked_at is not None:
        return "REVOKED"
    return "ACTIVE" if row.expires_at > now else "EXPIRED"


def _token(row: TokenRow, now: float) -> Token:
    return Token(
        id=row.id,
        organization_id=row.organization_id,
        user_id=row.user_id,
        name=row.name,
        state=_state(row, now),
        created_at=row.created_at,
        updated_at=row.updated_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
