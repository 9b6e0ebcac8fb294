"""A control room over a new data directory, for tests of what stands above it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from twinplane.control import Control, ControlPlane, ControlSettings, Principal
from twinplane.hybrid.hashing import config_hash


@dataclass(frozen=True)
class Platform:
    """An open control room, its first token, and what that token speaks for."""

    control: Control
    token: str
    principal: Principal
    default: ControlPlane


@contextmanager
def open_platform(
    directory: Path, settings: ControlSettings | None = None, *, clock: Callable[[], float] = time.time
) -> Iterator[Platform]:
    """Open a control room in an empty directory, and close it in the end."""
    control = Control.open(directory, settings=settings, config_hash=config_hash, clock=clock)
    try:
        token = control.tokens.ensure_first()
        assert token is not None
        principal = control.tokens.authenticate(token)
        yield Platform(control, token, principal, control.control_planes.default(principal.organization_id, "us"))
    finally:
        control.close()
