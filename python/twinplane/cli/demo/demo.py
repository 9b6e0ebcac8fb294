"""The demo of one data directory, from its upstream over its configuration to its callers."""

from __future__ import annotations

import contextlib
import random
import secrets
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from twinplane.cli.demo.document import read_document
from twinplane.cli.demo.line import Address
from twinplane.cli.demo.pouring import Pouring, refuse_foreign
from twinplane.cli.demo.state import State, load_state, save_state
from twinplane.cli.demo.traffic import Traffic
from twinplane.cli.demo.upstreams import listening
from twinplane.cli.platform_client import PlatformClient
from twinplane.cli.process import make_directory
from twinplane.node.authority import Authority, write_private

if TYPE_CHECKING:
    from twinplane.cli.up import Ports

_SHOWN_CALLER = "web-shop"


class Demo:
    """What runs in the process of `up` beside the two planes. Used in this order: open, pour, run, close."""

    def __init__(self, directory: Path, domain: str) -> None:
        self._data = directory
        self._directory = directory / "demo"
        self._state_path = self._directory / "state.json"
        self._domain = domain
        self._chance = random.Random()  # noqa: S311 - latencies and paths, no secrets
        self._stack = contextlib.AsyncExitStack()
        self._ports: dict[str, str] = {}
        self._state: State | None = None
        self._traffic: Traffic | None = None

    @property
    def key_path(self) -> Path:
        """A file with the key of a caller, for a person to try."""
        return self._directory / "key"

    @property
    def host(self) -> str:
        """The host name that the demo has a certificate for."""
        return f"shop.{self._domain}"

    async def open(self) -> None:
        """Listen. Raises StartError."""
        self._state = load_state(self._state_path)
        wanted = self._state.values if self._state is not None else {}
        self._ports = dict(await self._stack.enter_async_context(listening(wanted, self._chance)))

    def pour(self, client: PlatformClient, control_plane_id: str) -> None:
        """Put the configuration in, or bring it up to date with where the shop listens now. Blocks.

        Raises StartError where there is a configuration that is not the demo's; then nothing has been changed.
        """
        pouring = Pouring(client, control_plane_id)
        before = self._state
        found = pouring.found()
        if before is None or not before.is_whole:
            refuse_foreign(found, {} if before is None else read_document(before.values))
        make_directory(self._directory)
        values = self._values(before)
        rows = read_document(values)
        write_private(self.key_path, f"{_SHOWN_CALLER}-{values['SECRET']}\n".encode())
        if before is not None and found:
            pouring.change(read_document(before.values), rows)
        if before is None or not before.is_whole or not found:
            self._keep(values, is_whole=False)
            pouring.pour(rows)
        self._keep(values, is_whole=True)

    async def run(self, ports: Ports) -> None:
        """Send requests to the node until cancelled."""
        context = ssl.create_default_context(cafile=str(self._data / "ca.pem"))
        plain, tls = Address(ports.proxy, "localhost"), Address(ports.proxy_ssl, self.host, context)
        assert self._state is not None
        secret = self._state.values["SECRET"]
        self._traffic = Traffic(plain, tls, secret=secret, chance=self._chance)
        await self._traffic.run()

    async def close(self) -> None:
        """Stop listening."""
        await self._stack.aclose()

    def summary(self) -> str:
        """What the callers got."""
        traffic = self._traffic
        if traffic is None:
            return "demo: no request was sent"
        told = ", ".join(f"{count} x {status}" for status, count in sorted(traffic.answered.items()))
        return f"demo: answers {told or 'none'}; without an answer {traffic.unanswered_total}"

    def _values(self, before: State | None) -> dict[str, str]:
        leaf = Authority(self._data).leaf(self._directory / "shop.pem", [self.host])
        kept = before.values.get("SECRET") if before is not None else None
        return {
            **self._ports,
            "DOMAIN": self._domain,
            "SECRET": kept or secrets.token_hex(12),
            "CERTIFICATE": leaf.certificate,
            "CERTIFICATE_KEY": leaf.key,
        }

    def _keep(self, values: Mapping[str, str], *, is_whole: bool) -> None:
        self._state = State(values, is_whole)
        save_state(self._state_path, self._state)
