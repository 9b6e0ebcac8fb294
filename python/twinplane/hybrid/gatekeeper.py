"""Lets nodes in, and ends the links of those who would not be let in any more: removed, expired, revoked."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Protocol

from twinplane.control import Control
from twinplane.hybrid.errors import IdentityRefused
from twinplane.hybrid.identity import Admission, AdmissionRules, Presented, Use, admit, admit_controller
from twinplane.hybrid.ocsp import OcspChecker, OcspSettings

_log = logging.getLogger(__name__)


class Guest(Protocol):
    """A link that was, or is being, let in."""

    presented: Presented | None
    use: Use
    admission: Admission | None

    def cut(self, reason: str) -> None:
        """End it."""

    def who(self) -> str:
        """Who it is, for a log line."""


class Gatekeeper:
    """Decides for all links of a process."""

    def __init__(self, control: Control, executor: Executor, ocsp: OcspSettings | None) -> None:
        self.rules = AdmissionRules(control.settings.domain)
        """Who is let in; put another in its place at any time. Live links are held to it at the next check."""
        self.ocsp = OcspChecker(ocsp) if ocsp is not None else None
        self._control = control
        self._executor = executor

    async def admit(self, presented: Presented, use: Use) -> Admission:
        """Which control plane a peer belongs to. Raises IdentityRefused."""
        admission = await self._decide(presented, use)
        await self._check_revocation(admission)
        return admission

    async def admit_controller(self, presented: Presented, control_plane_id: str) -> Admission:
        """Which control plane an ingress controller belongs to, that asks for one. Raises IdentityRefused."""
        admission = await asyncio.get_running_loop().run_in_executor(
            self._executor, self._decide_controller, presented, control_plane_id
        )
        await self._check_revocation(admission)
        return admission

    async def check(self, guests: Sequence[Guest]) -> None:
        """Decide anew about each, and end the links of those who would not be let in now."""
        alike: dict[object, list[Guest]] = {}
        for guest in guests:
            if guest.presented is not None and guest.admission is not None:
                seen = guest.presented
                # A fleet often holds one certificate.
                key = (seen.certificate, tuple(seen.chain), seen.server_name, guest.use)
                alike.setdefault(key, []).append(guest)
        asked = []
        for group in alike.values():
            admission = await self._check_alike(group)
            if admission is not None and self.ocsp is not None:
                asked.append(self._check_state(group, admission))
        # The store takes turns; responders do not have to.
        await asyncio.gather(*asked)

    async def _check_alike(self, guests: Sequence[Guest]) -> Admission | None:
        """What is decided about guests who presented the same, None where they do not stay."""
        presented = guests[0].presented
        assert presented is not None
        try:
            admission = await self._decide(presented, guests[0].use)
        except IdentityRefused as error:
            _cut(guests, error.code)
            return None
        except Exception:
            # A store that cannot be read now says nothing against the node.
            _log.exception("link_check_failed %s", guests[0].who())
            return None
        for guest in guests:
            if guest.admission is not None and admission.control_plane.id != guest.admission.control_plane.id:
                guest.cut("control_plane_changed")
        return admission

    async def _check_state(self, guests: Sequence[Guest], admission: Admission) -> None:
        try:
            await self._check_revocation(admission)
        except IdentityRefused as error:
            _cut(guests, error.code)
        except Exception:
            _log.exception("link_check_failed %s", guests[0].who())

    async def _check_revocation(self, admission: Admission) -> None:
        # What is pinned or shared is revoked by removing it.
        if self.ocsp is not None and admission.issued is not None:
            await self.ocsp.check(admission.issued)

    async def _decide(self, presented: Presented, use: Use) -> Admission:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self.decide, presented, use)

    def decide(self, presented: Presented, use: Use) -> Admission:
        """Who a peer is, without asking whether that was revoked. For threads. Raises IdentityRefused."""
        control = self._control
        return admit(
            presented,
            use,
            directory=control.certificates,
            planes=control.control_planes,
            rules=self.rules,
            now=time.time(),
        )

    def _decide_controller(self, presented: Presented, control_plane_id: str) -> Admission:
        control = self._control
        return admit_controller(
            presented,
            control_plane_id,
            directory=control.certificates,
            planes=control.control_planes,
            rules=self.rules,
            now=time.time(),
        )


def _cut(guests: Sequence[Guest], reason: str) -> None:
    for guest in guests:
        guest.cut(reason)
