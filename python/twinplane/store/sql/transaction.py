"""One transaction and the tables as it sees them. Handed to `control`, which calls the groups and never writes SQL."""

from __future__ import annotations

from functools import cached_property

from sqlalchemy import Connection

from twinplane.store.sql.audit import AuditTable
from twinplane.store.sql.control_planes import ControlPlaneTable
from twinplane.store.sql.entities import EntityTable
from twinplane.store.sql.history import ChangeTable
from twinplane.store.sql.identity import IdentityTable
from twinplane.store.sql.meta import MetaTable
from twinplane.store.sql.nodes import NodeTable
from twinplane.store.sql.sessions import SessionTable


class Transaction:
    """The groups of tables, each bound to the same connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def meta(self) -> MetaTable:
        """Facts of the store itself."""
        return MetaTable(self._connection)

    @cached_property
    def identity(self) -> IdentityTable:
        """Organizations, users, tokens."""
        return IdentityTable(self._connection)

    @cached_property
    def sessions(self) -> SessionTable:
        """Who is signed in."""
        return SessionTable(self._connection)

    @cached_property
    def control_planes(self) -> ControlPlaneTable:
        """Control planes and their revisions."""
        return ControlPlaneTable(self._connection)

    @cached_property
    def entities(self) -> EntityTable:
        """Entities, their unique keys, references and tags."""
        return EntityTable(self._connection)

    @cached_property
    def changes(self) -> ChangeTable:
        """The change log."""
        return ChangeTable(self._connection)

    @cached_property
    def nodes(self) -> NodeTable:
        """Nodes and the certificates that let them in."""
        return NodeTable(self._connection)

    @cached_property
    def audit(self) -> AuditTable:
        """The audit records."""
        return AuditTable(self._connection)
