"""The core of a node with the configuration that it serves: started from what is kept, and handed each new one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from twinplane._dataplane import ApplyError, Core, StartError  # noqa: TID251 - it is started here
from twinplane.hybrid.wire import Issue
from twinplane.node.cache import ConfigCache, Stored
from twinplane.node.conditions import Conditions
from twinplane.node.config import ConfigKeeper
from twinplane.node.declared import DECLARED_REFUSED, DeclaredConfig, read_declared
from twinplane.node.errors import NodeStartError, PayloadRefused
from twinplane.node.journal import JournaledCache
from twinplane.node.license_gate import LicenseGate
from twinplane.node.logs import LogDelivery
from twinplane.node.plugin_host import PluginHost
from twinplane.node.plugin_settings import log_surroundings
from twinplane.node.seal import Keyring
from twinplane.node.sparse import complete_table
from twinplane.node.vaults import Vaults
from twinplane.settings import NodeSettings

log = logging.getLogger("node")

_EMPTY_TABLE = b'{"_format_version":"3.0","_transform":false}'


@dataclass(frozen=True, slots=True)
class Serving:
    """What it takes to start a core, and to hand it configurations."""

    settings: NodeSettings
    prefix: Path
    plugins: PluginHost
    vaults: Vaults
    gate: LicenseGate
    declared: DeclaredConfig | None
    conditions: Conditions
    keyring: Keyring | None

    def start(
        self,
        core_settings: bytes,
        *,
        on_outcome: Callable[[str, int | None, str | None], None],
        on_published: Callable[[Stored], None],
    ) -> tuple[ConfigKeeper, Core, LogDelivery]:
        """Start the core with what is kept. Blocks. Raises NodeStartError.

        `on_outcome` is told what became of each configuration, `on_published` of those that a control plane published.
        """
        settings = self.settings
        started: list[Core] = []

        def start(table: bytes | None) -> Core:
            # A node without a configuration says so to each request, rather than to say nothing.
            try:
                plain = self.vaults.resolved(table or _EMPTY_TABLE)
            except PayloadRefused as refused:
                raise ApplyError(orjson.dumps(refused.faults).decode()) from refused
            self.plugins.begin()
            core = Core.start(core_settings, self.gate.first_table(plain), self.plugins)
            started.append(core)
            self.plugins.attach(core)
            return core

        def apply_plain(table: bytes) -> Sequence[Issue]:
            self.plugins.begin()
            try:
                applied = started[-1].apply(table)
            except ApplyError as error:
                raise PayloadRefused(_faults(error)) from error
            self.plugins.served()
            return _issues(applied.issues)

        def apply(table: bytes) -> Sequence[Issue]:
            return self.gate.apply(self.vaults.resolved(table), apply_plain)

        def note_served(table: bytes) -> None:
            self.gate.note_served(table)
            delivery.configure(self.vaults.resolved(table))

        def drain(kind: str) -> bytes:
            return started[-1].drain(kind)  # type: ignore[arg-type]

        delivery = LogDelivery(drain, log_surroundings(settings))
        keeper = ConfigKeeper(
            apply,
            self.declared or self._cache(),
            complete=complete_table,
            bytes_max=settings["cluster_max_payload"],
            on_served=note_served,
            conditions=self.conditions,
            on_outcome=on_outcome,
            takes_deltas=self.declared is None and settings["link_deltas"],
            on_published=on_published,
        )
        return keeper, self._start_keeper(keeper, start), delivery

    def _start_keeper(self, keeper: ConfigKeeper, start: Callable[[bytes | None], Core]) -> Core:
        """Start the core from what is kept. A configuration that it refuses gives way to the one before.

        A declarative file has none before: there is somebody who can mend it.
        """
        declared = self.declared
        refusals = (ApplyError,) if declared is None else ()
        refused: list[str] = []
        while True:
            try:
                core = keeper.start(
                    start, refusals, issues=lambda core: _issues(core.status().issues), otherwise=self._instead
                )
            except StartError as error:
                raise NodeStartError(*map(str, error.args[0])) from error
            except ApplyError as error:
                problems = [str(fault.get("message", fault)) for fault in _faults(error)]
                if declared is None or not declared.step_back():
                    raise NodeStartError(*problems) from error
                refused += problems
                continue
            if declared is not None:
                declared.settle()
            if refused:
                follows = "the node starts without a configuration" if keeper.is_empty else "one before it is served"
                text = f"what was posted last cannot be served: {'; '.join(refused)}: {follows}"
                log.error("posted_config_refused detail=%s", text)
                self.conditions.note(DECLARED_REFUSED, text)
            return core

    def _cache(self) -> JournaledCache:
        settings = self.settings
        seals = settings["cache_encryption"]
        generations = ConfigCache(self.prefix, self.keyring, seals=seals)
        bytes_max = settings["cluster_max_payload"]
        return JournaledCache(generations, self.prefix, self.keyring, bytes_max=bytes_max, seals=seals)

    def _instead(self) -> Stored | None:
        """What a node of a control plane starts from where it has no cache."""
        settings = self.settings
        if not settings["declarative_config"] and not settings["declarative_config_string"]:
            return None
        return read_declared(
            settings["declarative_config"], settings["declarative_config_string"], settings["router_flavor"]
        ).stored


def _issues(told: Sequence[Mapping[str, Any]]) -> list[Issue]:
    return [Issue(one["code"], one["message"], one.get("plugin"), one.get("plugin_id")) for one in told]


def _faults(error: ApplyError) -> list[dict[str, Any]]:
    faults: list[dict[str, Any]] = orjson.loads(error.args[0])
    return faults
