"""The room opened: one `Control` holds the store and every use case. Synchronous and safe to call from many threads."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import cast

from twinplane.control.addresses import Addresses
from twinplane.control.audit import AuditTrail
from twinplane.control.certificates import NodeCertificates
from twinplane.control.change import Changes
from twinplane.control.control_planes import ControlPlanes, make_predefined
from twinplane.control.epoch import new_epoch
from twinplane.control.export import Exports
from twinplane.control.global_data import Ask, GlobalData
from twinplane.control.history import History
from twinplane.control.ingress_nodes import IngressNodes
from twinplane.control.nodes import ConfigHash, Nodes
from twinplane.control.organizations import Organizations, Users, make_first
from twinplane.control.publishing import EPOCH, Publishing
from twinplane.control.scope import Scope
from twinplane.control.sessions import Sessions
from twinplane.control.settings import ControlSettings
from twinplane.control.token_secret import load_key
from twinplane.control.tokens import Tokens
from twinplane.control.versions import Versions
from twinplane.registry import RouterFlavor
from twinplane.store.errors import StoreOfOtherRegion
from twinplane.store.sql import Database


class Control:
    """Every use case of the platform, over one data directory."""

    def __init__(
        self,
        database: Database,
        identity: Database,
        *,
        ask: Ask | None,
        settings: ControlSettings,
        token_key: bytes,
        epoch: str,
        config_hash: ConfigHash,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._identity = identity
        self._clock = clock
        self.settings = settings
        self.epoch = epoch
        self.versions = Versions()
        self.organizations = Organizations(identity)
        self.users = Users(identity)
        self.tokens = Tokens(identity, token_key, clock)
        self.sessions = Sessions(identity, token_key, self.tokens, clock)
        self.callers = GlobalData(database, identity, self.tokens, settings=settings, clock=clock, ask=ask)
        self.control_planes = ControlPlanes(database, settings, clock)
        self.certificates = NodeCertificates(database, self.control_planes, settings, clock)
        self.changes = Changes(database, settings, self.versions, clock)
        self.export = Exports(database, settings)
        self.publishing = Publishing(database, settings, clock)
        self.nodes = Nodes(database, self.export, settings, clock, config_hash)
        self.ingress_nodes = IngressNodes(database, self.nodes, settings, clock)
        self.history = History(database)
        self.addresses = Addresses(database, clock)
        self.audit = AuditTrail(database, clock)

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        settings: ControlSettings | None = None,
        config_hash: ConfigHash,
        clock: Callable[[], float] = time.time,
        global_directory: Path | None = None,
        ask: Ask | None = None,
    ) -> Control:
        """Open or make the store in `directory`. Raises StoreTooNew, StoreUnreadable, StoreOfOtherRegion.

        `config_hash` is the link's hash of a config table (`hybrid`), handed in because it lives above. Organizations,
        users and tokens lie in `global_directory`, where that is another one; with `ask` they are asked for.
        """
        chosen = settings or ControlSettings()
        database = Database.open(directory, busy_timeout_ms=chosen.busy_timeout_ms)
        identity = database
        try:
            _check_regions(database, directory, chosen)
            if global_directory is not None and global_directory != directory:
                identity = Database.open(global_directory, busy_timeout_ms=chosen.busy_timeout_ms)
            token_key = _open_identity(identity, global_directory or directory, clock(), is_kept=ask is None)
            now = clock()
            with identity.reading() as tx:
                organizations = tx.identity.organizations()
            with database.writing() as tx:
                if tx.meta.get("instance_id") is None:
                    tx.meta.put("instance_id", str(uuid.uuid4()))
                epoch = tx.meta.get(EPOCH)
                if epoch is None:
                    epoch = new_epoch(now)
                    tx.meta.put(EPOCH, epoch)
                for organization in organizations:
                    tx.identity.put_organization(organization)
                    make_predefined(tx, organization.id, chosen.regions, now=now)
        except BaseException:
            database.close()
            identity.close()
            raise
        return cls(
            database,
            identity,
            ask=ask,
            settings=chosen,
            token_key=token_key,
            epoch=epoch,
            config_hash=config_hash,
            clock=clock,
        )

    def check(self) -> None:
        """Read and write the store. Raises StoreError where either fails."""
        mark = f"{self._clock():.3f}"
        with self._database.writing() as tx:
            tx.meta.put("checked_at", mark)
        for database in {self._database, self._identity}:
            with database.reading() as tx:
                tx.meta.get("checked_at")

    def router_flavor(self, scope: Scope) -> RouterFlavor:
        """How the routes of a control plane are written."""
        plane = self.control_planes.find(scope.control_plane_id)
        return "traditional_compatible" if plane is None else cast("RouterFlavor", plane.router_flavor)

    def tidy_up(self) -> None:
        """Forget credentials past their ttl, nodes long silent, changes past their time. Call it once a minute."""
        self.changes.purge_expired()
        self.nodes.purge()
        self.sessions.purge()
        self.publishing.forget_changes()

    def close(self) -> None:
        """Close the store."""
        self._database.close()
        self._identity.close()


def _check_regions(database: Database, directory: Path, settings: ControlSettings) -> None:
    """A store of one region holds nothing of another's."""
    if settings.store_regions is None:
        return
    with database.reading() as tx:
        strange = sorted(tx.control_planes.regions() - set(settings.store_regions))
    if strange:
        raise StoreOfOtherRegion(directory, strange[0])


def _open_identity(database: Database, directory: Path, now: float, *, is_kept: bool) -> bytes:
    """Make the first organization where global data is kept here; the key of the tokens."""
    # In one transaction, so that of two processes that start at once one makes them and the other finds them.
    with database.writing() as tx:
        if is_kept:
            make_first(tx, now=now)
        return load_key(directory, is_needed=tx.identity.has_tokens())
