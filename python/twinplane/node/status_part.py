"""The status port as a part of the node: its listeners, opened and changed while the node serves."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from twinplane import __version__
from twinplane.node.access_lines import AccessLines
from twinplane.node.certificates import NodeCertificates
from twinplane.node.errors import NodeStartError
from twinplane.node.http import Answered, HttpServer
from twinplane.node.own_port import OwnPort, PortChange
from twinplane.node.status import StatusApi
from twinplane.settings import NodeSettings


class StatusPart:
    """Where the status of a node is served."""

    def __init__(self, settings: NodeSettings, prefix: Path) -> None:
        self._settings = settings
        self._prefix = prefix
        self._port: OwnPort | None = None
        self.refused: Counter[str] = Counter()
        """What was not let in or not understood, by reason."""

    @property
    def ports(self) -> Sequence[int]:
        """The ports that it is served on."""
        return self._port.ports if self._port else ()

    async def start(
        self,
        stack: contextlib.AsyncExitStack,
        api: StatusApi,
        certificates: NodeCertificates,
        *,
        answered: Answered,
        access: AccessLines | None,
    ) -> None:
        """Serve until the stack ends. Raises NodeStartError where a listener cannot be had."""
        name = f"twinplane/{__version__}"
        server = HttpServer(api.handle, server_name=name, answered=answered, access=access)
        server.refused = self.refused
        stack.push_async_callback(server.close)
        self._port = OwnPort("status", server, self._prefix, made="status-kong-default")
        certificates.watch_port("status_ssl_cert", self._port.renew)
        self.use(await asyncio.to_thread(self.prepare, self._settings))

    def serves(self, settings: NodeSettings) -> bool:
        """Whether it presents what the files of these settings hold. Blocks. Raises NodeStartError."""
        return self._port is None or self._port.serves(settings)

    def prepare(self, settings: NodeSettings) -> PortChange:
        """What other settings make of its listeners; `use` puts that in force. Blocks. Raises NodeStartError."""
        assert self._port is not None
        change = self._port.prepare(settings)
        if change.problems:
            change.withdraw()
            raise NodeStartError(*change.problems)
        return change

    def use(self, change: PortChange) -> None:
        """Serve by other settings from the next connection on."""
        assert self._port is not None
        self._port.use(change)
