"""The audit part of a control plane process: the desk that keeps records, and the port that takes lines of nodes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from twinplane.audit.desk import AuditDesk
from twinplane.audit.receiver import AuditReceiver, AuditReceiverSettings
from twinplane.cli.errors import StartError
from twinplane.control import Control
from twinplane.control.audit import FORGOTTEN_AT_ONCE
from twinplane.hybrid.identity import Admission, Presented
from twinplane.settings import ProcessSettings

TIDY_SECONDS = 600.0
_DAY_S = 86_400.0
_log = logging.getLogger("audit")


def make_receiver(
    control: Control,
    desk: AuditDesk,
    settings: ProcessSettings,
    *,
    place: int,
    admit: Callable[[Presented], Admission],
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
        lines_per_second=settings["audit-rate"],
    )
    return AuditReceiver(control, desk, receiver_settings, admit=admit)


@contextlib.asynccontextmanager
async def keeping_records(
    control: Control, desk: AuditDesk, receiver: AuditReceiver | None, settings: ProcessSettings
) -> AsyncIterator[None]:
    """Records are taken and kept for as long as the block runs."""
    tasks = [asyncio.create_task(desk.run()), asyncio.create_task(_forget_always(control, settings))]
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
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forget_always(control: Control, settings: ProcessSettings) -> None:
    keep_s, records_max = settings["audit-retention-days"] * _DAY_S, settings["audit-records-max"]
    while True:
        await asyncio.sleep(TIDY_SECONDS)
        try:
            forgotten = FORGOTTEN_AT_ONCE
            while forgotten == FORGOTTEN_AT_ONCE:
                forgotten = await asyncio.to_thread(control.audit.forget_old, keep_s=keep_s, records_max=records_max)
                _log.info("audit_records_forgotten count=%d", forgotten)
        except Exception:
            _log.exception("audit_tidying_failed")
