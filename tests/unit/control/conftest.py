"""A platform in a directory of its own, at a time that tests set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from twinplane.control import Actor, Control, ControlPlane, ControlSettings, Scope
from twinplane.hybrid.hashing import config_hash

START = 1_800_000_000.0


@dataclass
class Clock:
    """A time that passes only when a test says so."""

    now: float = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def control(tmp_path: Path, clock: Clock) -> Iterator[Control]:
    settings = ControlSettings(domain="platform.test", advertised_port=9443, regions=("us", "eu"))
    opened = Control.open(tmp_path, settings=settings, config_hash=config_hash, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def plane(control: Control) -> ControlPlane:
    return control.control_planes.default(control.organizations.first().id, "us")


@pytest.fixture
def scope(plane: ControlPlane) -> Scope:
    return plane.scope


@pytest.fixture
def actor() -> Actor:
    return Actor("user", "4b0c6bd0-54d4-4a38-9f1c-d1a3d64f2a11", "tester")
