"""Organizations, users and tokens: global data, read where it lies. A region keeps copies of whom it has served.

The store of a region needs the row of an organization before it can hold anything of it; that row, and the row of a
user where global data is only asked for, are copies made when somebody calls. Tokens are never copied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import Lock

from twinplane.control.control_planes import make_predefined
from twinplane.control.errors import TokenInvalid
from twinplane.control.records import Organization, Principal, User
from twinplane.control.settings import ControlSettings
from twinplane.control.tokens import Tokens
from twinplane.store.sql import Database, OrganizationRow, UserRow

_KNOWN_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a token speaks for, as the keeper of global data tells it."""

    principal: Principal
    organization: Organization
    user: User


Ask = Callable[[str], Caller]
"""Asks the keeper of global data about a bearer token. Raises TokenInvalid, StoreError."""


class GlobalData:
    """Who may call a region: found in the global store, or asked for."""

    def __init__(
        self,
        database: Database,
        identity: Database,
        tokens: Tokens,
        *,
        settings: ControlSettings,
        clock: Callable[[], float],
        ask: Ask | None,
    ) -> None:
        self._database = database
        self._identity = identity
        self._tokens = tokens
        self._settings = settings
        self._clock = clock
        self._ask = ask
        self._lock = Lock()
        self._kept: dict[str, Organization | User] = {}

    def admit(self, bearer: str) -> Principal:
        """Who calls. Raises TokenInvalid, TokenExpired, TokenRevoked, StoreError."""
        if self._ask is not None:
            caller = self._ask(bearer)
            self._keep(caller.organization, caller.user)
            return caller.principal
        principal = self._tokens.authenticate(bearer)
        if self._identity is not self._database and principal.organization_id not in self._kept:
            with self._identity.reading() as tx:
                row = tx.identity.organization(principal.organization_id)
            if row is None:
                raise TokenInvalid
            self._keep(Organization(**asdict(row)), None)
        return principal

    def _keep(self, organization: Organization, user: User | None) -> None:
        """Copy what is new or has changed."""
        known: dict[str, Organization | User] = {organization.id: organization}
        if user is not None:
            known[user.id] = user
        if all(self._kept.get(key) == value for key, value in known.items()):
            return
        with self._database.writing() as tx:
            tx.identity.put_organization(OrganizationRow(**asdict(organization)))
            make_predefined(tx, organization.id, self._settings.regions, now=self._clock())
            if user is not None:
                tx.identity.put_user(UserRow(**asdict(user)))
        with self._lock:
            if len(self._kept) >= _KNOWN_MAX:
                self._kept.clear()
            self._kept.update(known)
