"""The room opened: one `Control` holds the store and every use case. Synchronous and safe to call from many threads."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path

from twinplane.control.audit import AuditTrail
from twinplane.control.certificates import NodeCertificates
from twinplane.control.change import Changes
from twinplane.control.control_planes import ControlPlanes, make_predefined
from twinplane.control.epoch import new_epoch
from twinplane.control.export import Exports
from twinplane.control.history import History
from twinplane.control.ingress_nodes import IngressNodes
from twinplane.control.nodes import ConfigHash, Nodes
from twinplane.control.organizations import Organizations, Users, make_first
from twinplane.control.publishing import EPOCH, Publishing
from twinplane.control.sessions import Sessions
from twinplane.control.settings import ControlSettings
from twinplane.control.token_secret import load_key
from twinplane.control.tokens import Tokens
from twinplane.control.versions import Versions
from twinplane.store.sql import Database


class Control:
    """Every use case of the platform, over one data directory."""

    def __init__(
        self,
        database: Database,
        *,
        settings: ControlSettings,
        token_key: bytes,
        epoch: str,
        config_hash: ConfigHash,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._clock = clock
        self.settings = settings
        self.epoch = epoch
        self.versions = Versions()
        self.organizations = Organizations(database)
        self.users = Users(database)
        self.tokens = Tokens(database, token_key, clock)
        self.sessions = Sessions(database, token_key, self.tokens, clock)
        self.control_planes = ControlPlanes(database, settings, clock)
        self.certificates = NodeCertificates(database, self.control_planes, settings, clock)
        self.changes = Changes(database, settings, self.versions, clock)
        self.export = Exports(database, settings)
        self.publishing = Publishing(database, settings, clock)
        self.nodes = Nodes(database, self.export, settings, clock, config_hash)
        self.ingress_nodes = IngressNodes(database, self.nodes, settings, clock)
        self.history = History(database)
        self.audit = AuditTrail(database, clock)

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        settings: ControlSettings | None = None,
        config_hash: ConfigHash,
        clock: Callable[[], float] = time.time,
    ) -> Control:
        """Open or make the store in `directory`. Raises StoreTooNew, StoreUnreadable.

        `config_hash` is the link's hash of a config table (`hybrid`), handed in because it lives above.
        """
        chosen = settings or ControlSettings()
        database = Database.open(directory, busy_timeout_ms=chosen.busy_timeout_ms)
        try:
            now = clock()
            with database.writing() as tx:
                if tx.meta.get("instance_id") is None:
                    tx.meta.put("instance_id", str(uuid.uuid4()))
                epoch = tx.meta.get(EPOCH)
                if epoch is None:
                    epoch = new_epoch(now)
                    tx.meta.put(EPOCH, epoch)
                organization_id = make_first(tx, now=now)
                make_predefined(tx, organization_id, chosen.regions, now=now)
                has_tokens = tx.identity.has_tokens()
            token_key = load_key(directory, is_needed=has_tokens)
        except BaseException:
            database.close()
            raise
        return cls(
            database,
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
        with self._database.reading() as tx:
            tx.meta.get("checked_at")

    def tidy_up(self) -> None:
        """Forget credentials past their ttl, nodes long silent, changes past their time. Call it once a minute."""
        self.changes.purge_expired()
        self.nodes.purge()
        self.sessions.purge()
        self.publishing.forget_changes()

    def close(self) -> None:
        """Close the store."""
        self._database.close()
