"""Puts the simulation in the place of the clock, of chance and of the operating system's calls, for one run."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.simulation.loop import VirtualLoop, current_process

from twinplane.control import Actor, Control, ControlPlane, NodeCertificate
from twinplane.hybrid.hashing import config_hash

BEGIN = 1_900_000_000.0
_CALLS = ("open", "fsync", "pwrite", "ftruncate", "link", "replace", "unlink")


@contextmanager
def staged(loop: VirtualLoop, on_call: Callable[[str], None]) -> Iterator[None]:
    """Simulated time and chance; `on_call` is told of each call to the operating system and may raise Killed."""
    chance = random.Random(loop.chance.random())
    kept = [(time, "time"), (time, "monotonic"), (os, "urandom"), (random, "_urandom"), *((os, one) for one in _CALLS)]
    originals = [(module, name, getattr(module, name)) for module, name in kept]
    state = random.getstate()

    def now() -> float:
        process = current_process()
        return BEGIN + loop.time() + (process.clock_offset_s if process is not None else 0.0)

    def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            on_call(f"{name} before")
            result = call(*args, **kwargs)
            on_call(f"{name} after")
            return result

        return run

    random.seed(loop.chance.random())
    time.time, time.monotonic = now, loop.time
    os.urandom = random._urandom = chance.randbytes  # type: ignore[attr-defined]
    for name in _CALLS:
        setattr(os, name, watched(name, getattr(os, name)))
    try:
        yield
    finally:
        for module, name, original in originals:
            setattr(module, name, original)
        random.setstate(state)


@dataclass(frozen=True)
class Scenery:
    """What all runs of one process share: made once, the same in every process."""

    template: Path
    """A data directory of the control room as it was after its first start."""
    plane: ControlPlane
    certificate: NodeCertificate
    der: bytes
    names: dict[str, str]


@cache
def scenery() -> Scenery:
    """Make it, at the first call."""
    directory = Path(tempfile.mkdtemp(prefix="simulation-", dir=memory_directory()))
    der = _certificate()
    loop = VirtualLoop(random.Random(0))
    with staged(loop, lambda _call: None):
        control = Control.open(directory / "template", config_hash=config_hash, clock=lambda: BEGIN)
        token = control.tokens.ensure_first()
        assert token is not None
        plane = control.control_planes.default(control.tokens.authenticate(token).organization_id, "us")
        pem = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()
        certificate = control.certificates.create(plane.scope, Actor("user", "u", "t"), pem, title="node")
        names = {kind: f"{plane.prefix}.us.{kind}.{control.settings.domain}" for kind in ("cp0", "tp0")}
        control.close()
    loop.close()
    return Scenery(directory / "template", plane, certificate, der, names)


def forget_scenery() -> None:
    """Remove what was made."""
    if scenery.cache_info().currsize:
        shutil.rmtree(scenery().template.parent, ignore_errors=True)
        scenery.cache_clear()


def memory_directory() -> str | None:
    """A file system in memory, where there is one."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and os.access(shared, os.W_OK) else None


def _certificate() -> bytes:
    """Always the same bytes, so that a run is the same in every process."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
    return builder.not_valid_after(datetime(2120, 1, 1, tzinfo=UTC)).sign(key, None).public_bytes(Encoding.DER)
