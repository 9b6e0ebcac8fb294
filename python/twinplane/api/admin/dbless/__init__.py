"""The Admin API of a node without control plane. Loads neither SQL nor a web framework: it runs in the node."""

from __future__ import annotations

from twinplane.api.admin.dbless.app import DblessApp
from twinplane.api.admin.dbless.door import NodeDoor
from twinplane.api.admin.dbless.guard import Admission

__all__ = ["Admission", "DblessApp", "NodeDoor"]
