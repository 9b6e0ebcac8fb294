"""The audit part of a control plane process: the desk that keeps records, and the port that takes lines of nodes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twinplane.audit.accesses import Accesses
from twinplane.audit.desk import AuditDesk
from twinplane.audit.forward import Forwarder, ForwardSettings
from twinplane.audit.receiver import AuditReceiver, AuditReceiverSettings
from twinplane.cli.errors import StartError
from twinplane.control import Control
from twinplane.control.audit import FORGOTTEN_AT_ONCE
from twinplane.control.errors import NotFound
from twinplane.hybrid.identity import Admission, Presented
from twinplane.settings import ProcessSettings

_DAY_S = 86_400.0
_log = logging.getLogger("audit")


@dataclass(frozen=True, slots=True)
class AuditPart:
    """What keeps the records of one store. Without an audit port `receiver` is None."""

    control: Control
    desk: AuditDesk
    accesses: Accesses
    receiver: AuditReceiver | None
    keep_s: float
    records_max: int
    forwarder: Forwarder | None = None

    def forget_old(self) -> int:
        """Forget what is past its retention; returns how much."""
        total, forgotten = 0, FORGOTTEN_AT_ONCE
        while forgotten == FORGOTTEN_AT_ONCE:
            forgotten = self.control.audit.forget_old(keep_s=self.keep_s, records_max=self.records_max)
            total += forgotten
        return total

    def counters(self) -> Mapping[str, Any]:
        """How everything here fares, without what names an organization."""
        trail, desk = self.control.audit, self.desk
        counters: dict[str, Any] = {
            "records": {
                "kept": desk.kept_total,
                "dropped": desk.dropped_total,
                "unwritable": desk.unwritable_total,
                "forgotten": trail.forgotten_total,
            },
            "repeats_untold": self.accesses.repeats.untold_total,
            "port": None,
            "forward": None,
        }
        if self.receiver is not None:
            facts = self.receiver.facts
            counters["port"] = {
                "number": self.receiver.port,
                "connections": facts.connections,
                "refused": facts.refused_total,
                "received": facts.received_total,
                "dropped": dict(facts.dropped),
                "lost": facts.lost_total,
            }
        if self.forwarder is not None:
            counters["forward"] = dataclasses.asdict(self.forwarder.facts)
        return counters


def make_part(
    control: Control,
    settings: ProcessSettings,
    *,
    place: int = 0,
    admit: Callable[[Presented], Awaitable[Admission]] | None = None,
) -> AuditPart:
    """The audit part of a store; with `admit` it has a port, if that is on."""
    desk = AuditDesk(control.audit.append, notes_max=settings["audit-queue"])
    accesses = Accesses(desk.take, _first_organization(control))
    receiver = None if admit is None else _make_receiver(control, desk, settings, place, admit)
    keep_s = settings["audit-retention-days"] * _DAY_S
    records_max: int = settings["audit-records-max"]
    return AuditPart(
        control, desk, accesses, receiver, keep_s, records_max, forwarder=_make_forwarder(control, settings)
    )


def _make_forwarder(control: Control, settings: ProcessSettings) -> Forwarder | None:
    if settings["audit-forward"] is None:
        return None
    transport, host, port = settings["audit-forward"]
    forward_settings = ForwardSettings(
        transport,
        host,
        port,
        settings["audit-forward-format"],
        hostname=settings["domain"],
        authority=settings["audit-forward-ca"],
    )
    try:
        return Forwarder(control.audit, forward_settings)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"audit-forward-ca: {settings['audit-forward-ca']}: cannot be used: {error}") from error


def _first_organization(control: Control) -> str:
    try:
        return control.organizations.first().id
    except NotFound:
        # Organizations are kept elsewhere.
        return ""


def _make_receiver(
    control: Control,
    desk: AuditDesk,
    settings: ProcessSettings,
    place: int,
    admit: Callable[[Presented], Awaitable[Admission]],
) -> AuditReceiver | None:
    """The audit port; None where it is off. Each region of a process has one of its own, counted up by `place`."""
    if settings["audit-listen"] is None:
        return None
    address, port = settings["audit-listen"]
    advertised = settings["audit-advertised-port"]
    receiver_settings = AuditReceiverSettings(
        address=address,
        port=port and port + place,
        advertised_port=advertised and advertised + place,
        line_bytes_max=settings["audit-line-limit"],
        connections_max=settings["audit-connections"],
        certificate_connections_max=settings["audit-certificate-connections"],
        lines_per_second=settings["audit-rate"],
    )
    return AuditReceiver(control, desk, receiver_settings, admit=admit)


@contextlib.asynccontextmanager
async def keeping_records(part: AuditPart, settings: ProcessSettings) -> AsyncIterator[None]:
    """Records are taken and kept for as long as the block runs."""
    receiver = part.receiver
    # They end in this order: what the first notes in its end, the last writes.
    tasks = [
        asyncio.create_task(part.accesses.repeats.run()),
        asyncio.create_task(part.desk.run()),
        *([asyncio.create_task(part.forwarder.run())] if part.forwarder else []),
    ]
    try:
        if receiver is not None:
            try:
                await receiver.start()
            except OSError as error:
                address, port = settings["audit-listen"]
                raise StartError(
                    f"the audit port {address}:{port} cannot be listened on: {error.strerror or error}"
                ) from error
        yield
    finally:
        if receiver is not None:
            await receiver.stop()
        for task in tasks:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
