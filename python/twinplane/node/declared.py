"""The configuration of a node without control plane: a declarative file, read once at the start."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from twinplane.control.errors import DeclarativeViolation, LimitExceeded
from twinplane.hybrid.hashing import config_hash
from twinplane.node.cache import Stored
from twinplane.node.errors import NodeStartError
from twinplane.node.seal import SealKey
from twinplane.node.sparse import faults_of

if TYPE_CHECKING:
    from twinplane.registry import RouterFlavor


class DeclaredConfig:
    """Stands where a node with a control plane has its cache; keeps nothing."""

    def __init__(self, stored: Stored) -> None:
        self._stored = self._before = stored
        self.damages: tuple[str, ...] = ()
        self.unsealed: tuple[str, ...] = ()

    @property
    def stored(self) -> Stored:
        """The one configuration that there is."""
        return self._stored

    def load(self) -> list[Stored]:
        """The one configuration that there is."""
        return [self._stored]

    def keep(self, stored: Stored) -> None:
        """Hold it in memory: on disk there is the file."""
        self._before, self._stored = self._stored, stored

    def confirm(self) -> None:
        """The one that is held is being served."""

    def withdraw(self) -> None:
        """Hold the one before."""
        self._stored = self._before

    def rekey(self, key: SealKey) -> None:
        """Nothing is sealed."""


def read_declared(
    path: Path | None, text: str | None, flavor: RouterFlavor = "traditional_compatible"
) -> DeclaredConfig:
    """The configuration in a file, else in a text. Raises NodeStartError with everything that is wrong."""
    # Loaded where it is needed, as in `sparse`.
    from twinplane.control import declarative  # noqa: PLC0415

    place = str(path) if path is not None else "declarative_config_string"
    try:
        data = path.read_bytes() if path is not None else (text or "").encode()
    except OSError as error:
        raise NodeStartError(f"{place}: cannot be read: {error.strerror}") from error
    try:
        table = declarative.read(data, now=time.time(), flavor=flavor).json()
    except DeclarativeViolation as violation:
        raise NodeStartError(*(f"{place}: {worded_fault(fault)}" for fault in faults_of(violation))) from violation
    except LimitExceeded as error:
        raise NodeStartError(f"{place}: {error}") from error
    return DeclaredConfig(Stored(config_hash(orjson.loads(table)), table))


def worded_fault(fault: Mapping[str, object]) -> str:
    """A fault of a configuration, with what it is about."""
    where = " ".join(str(fault[part]) for part in ("entity", "id", "field") if fault.get(part))
    return f"{where}: {fault['message']}" if where else str(fault["message"])
