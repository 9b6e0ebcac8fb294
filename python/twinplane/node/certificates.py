"""The certificates of a running node, towards its control plane and its clients: looked at, and renewed in place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from cryptography import x509

from twinplane._dataplane import Core, StartError  # noqa: TID251 - the core serves them
from twinplane.hybrid.dial import Dialer, LinkTls
from twinplane.node.authority import Identity
from twinplane.node.conditions import Conditions
from twinplane.node.link_settings import read_link_tls
from twinplane.node.renewal import Renewal, RenewalFacts, check_dates, check_pair, read_pem
from twinplane.node.seal import SealKey, read_key
from twinplane.settings import NodeSettings

CLUSTER = "cluster_certificate"
_SERVED = ("ssl_cert", "status_ssl_cert", "admin_ssl_cert")


def _fact_name(setting: str) -> str:
    return setting.replace("cert", "certificate")


class NodeCertificates:
    """What is watched of a node's certificates."""

    def __init__(self, settings: NodeSettings, conditions: Conditions) -> None:
        self._settings = settings
        self._conditions = conditions
        self._renewals: list[Renewal[Any]] = []
        self.on_renewed: Callable[[str], None] = lambda _: None
        """Told the name of each certificate that was renewed."""
        self.expires_at: float | None = None
        """When the certificate towards the control plane ends."""

    def watch_link(self, tls: LinkTls, dialers: Sequence[Dialer], rekey: Callable[[SealKey], None]) -> None:
        """Have these dial with what the files hold from now on. `rekey` is called in a thread."""

        async def use(found: LinkTls) -> None:
            pair = Identity(found.certificate, found.key)
            check_pair(pair)
            check_dates(pair)
            for dialer in dialers:
                dialer.renew(found)
            self._note_expiry(found)
            await asyncio.to_thread(rekey, read_key(found.key))

        self._note_expiry(tls)
        self._renewals.append(
            Renewal(
                CLUSTER,
                lambda: read_link_tls(self._settings),
                use,
                tls,
                self._conditions,
                on_renewed=self._note_renewed,
            )
        )

    def watch_served(self, core: Core) -> None:
        """Have the core serve what the files hold from now on."""

        async def use(found: Sequence[Identity]) -> None:
            certificates = orjson.dumps([{"cert": pair.certificate, "key": pair.key} for pair in found])
            try:
                await asyncio.to_thread(core.renew, certificates)
            except StartError as error:
                raise ValueError("; ".join(map(str, error.args[0]))) from error

        self._watch("ssl_cert", use)

    def watch_port(self, setting: str, renew: Callable[[Sequence[Identity]], None]) -> None:
        """Have a port of Python's own serve what the files of a setting hold from now on.

        `renew` is called in a thread and raises ValueError to refuse.
        """

        async def use(found: Sequence[Identity]) -> None:
            await asyncio.to_thread(renew, found)

        self._watch(setting, use)

    def use_settings(self, settings: NodeSettings) -> None:
        """Look at the files that these name from now on."""
        self._settings = settings

    async def keep_renewed(self) -> None:
        """Look at the files until cancelled."""
        interval_s = self._settings["certificate_check"]
        await asyncio.gather(*(renewal.run(interval_s) for renewal in self._renewals))

    def facts(self) -> Mapping[str, RenewalFacts]:
        """What became of new certificates, by name."""
        named = {_fact_name(name) for name in _SERVED if self._settings[name]}
        return {each.name: each.facts for each in self._renewals if each.name == CLUSTER or each.name in named}

    def _watch(self, setting: str, use: Callable[[Sequence[Identity]], Awaitable[None]]) -> None:
        def read() -> list[Identity]:
            # None are named where one was made here, for want of another.
            settings = self._settings
            if not settings[setting]:
                return []
            pairs = zip(settings[setting], settings[f"{setting}_key"], strict=True)
            return [Identity(read_pem(certificate), read_pem(key)) for certificate, key in pairs]

        async def checked(found: list[Identity]) -> None:
            for pair in found:
                check_pair(pair)
                check_dates(pair)
            if found:
                await use(found)

        self._renewals.append(
            Renewal(
                _fact_name(setting),
                read,
                checked,
                self._found(read),
                self._conditions,
                on_renewed=self._note_renewed,
            )
        )

    def _found(self, read: Callable[[], list[Identity]]) -> list[Identity]:
        # Who serves them has refused what cannot be read; nobody needs those of a port without TLS.
        try:
            return read()
        except (OSError, ValueError):
            return []

    def _note_renewed(self, name: str) -> None:
        self.on_renewed(name)

    def _note_expiry(self, tls: LinkTls) -> None:
        self.expires_at = x509.load_pem_x509_certificate(tls.certificate.encode()).not_valid_after_utc.timestamp()
