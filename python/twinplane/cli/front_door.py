"""The control plane's front door as its settings have it: which certificates it serves, and that they stay fresh."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from twinplane.cli.errors import StartError
from twinplane.cli.process import shared_lock
from twinplane.cli.regions import Region, domains
from twinplane.hybrid.identity import AdmissionRules, SharedMode, fingerprint
from twinplane.hybrid.server import LINK_PATHS
from twinplane.node.authority import Authority, Identity
from twinplane.node.edge import Edge, EdgeSettings, LinkDoor
from twinplane.node.renewal import Renewal, check_dates, check_pair, read_pem
from twinplane.settings import ProcessSettings
from twinplane.settings.network import GLOBAL, SHARED_NAME, certificate_names, client_certificate_patterns
from twinplane.settings.regions import Layout

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Served:
    """What the front door presents."""

    platform: Identity
    shared: Identity | None

    @property
    def pairs(self) -> tuple[Identity, ...]:
        return (self.platform,) if self.shared is None else (self.platform, self.shared)


class FrontDoor:
    """Opens the front door, and puts renewed certificates in force while it is open."""

    def __init__(self, settings: ProcessSettings, layout: Layout, sockets: Path, regions: Sequence[Region]) -> None:
        """The links of `regions` are told whom the certificates let in; their audit ports present the same ones."""
        self._settings = settings
        self._layout = layout
        self._directory: Path = settings["data"].absolute()
        self._sockets = sockets
        self._regions = regions
        self._domains = domains(settings)
        self._edge: Edge | None = None
        self._served: _Served | None = None

    def open(self) -> Edge:
        """Listen. Raises StartError."""
        settings = self._settings
        try:
            served = self._read()
            for pair in served.pairs:
                check_pair(pair)
        except OSError as error:
            raise StartError(f"{error.filename}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise StartError(f"tls-certificate, shared-certificate: cannot be used: {error}") from error
        edge_settings = EdgeSettings(
            address=settings["listen"],
            port=settings["port"],
            workers=settings["workers"],
            certificate=served.platform,
            shared=served.shared,
            client_certificate_hosts=list(
                dict.fromkeys(
                    name
                    for domain in self._domains
                    for name in client_certificate_patterns(domain, self._layout.served)
                )
            ),
            body_bytes_max=settings["body-limit"],
            application_socket=self._sockets / "api.sock",
            links=self._links(),
            link_paths=LINK_PATHS,
        )
        self._admit_by(served)
        try:
            self._edge = Edge(edge_settings)
        except Exception as error:
            raise StartError(f"the port {settings['port']} cannot be served: {error}") from error
        self._served = served
        for pair in served.pairs:
            try:
                check_dates(pair)
            except ValueError as error:
                # It serves on: who renews it must be able to see the API.
                log.error("certificate_not_valid detail=%s", error)
        return self._edge

    def _links(self) -> list[LinkDoor]:
        """Where links of each region go."""
        doors = [region.door for region in self._regions]
        if len(doors) < 2:
            return doors
        # Nodes that share a certificate all ask for one name, which tells no region: it is the one of their control
        # plane where that is given by its id, else the first.
        wanted = self._settings["shared-control-plane"]
        homes = [place for place, each in enumerate(self._regions) if each.control.control_planes.find(wanted)]
        home = homes[0] if homes else 0
        doors[home] = replace(doors[home], server_names=(*doors[home].server_names, SHARED_NAME))
        return doors

    async def keep_renewed(self) -> None:
        """Serve what the files hold from now on, until cancelled."""
        assert self._served is not None

        async def use(served: _Served) -> None:
            await asyncio.to_thread(self._use, served)

        renewal = Renewal("front_door", self._read, use, self._served)
        await renewal.run(self._settings["certificate-check"])

    def _read(self) -> _Served:
        settings = self._settings
        if settings["tls-certificate"] is not None:
            platform = Identity(settings["tls-certificate"].read_text(), settings["tls-key"].read_text())
        else:
            platform = self._own_certificate()
        shared = None
        if settings["shared-certificate"]:
            shared = Identity(read_pem(settings["shared-certificate"]), read_pem(settings["shared-key"]))
        return _Served(platform, shared)

    def _own_certificate(self) -> Identity:
        """A leaf of the built-in authority, made anew some time before its end."""
        served = self._layout.served
        names = [name for domain in self._domains for name in certificate_names(domain, served)]
        names = list(dict.fromkeys((*names, *(self._settings["bare-hosts"] or ()))))
        leaf = "platform.pem" if self._layout.is_single else f"platform-{'-'.join(served) or GLOBAL}.pem"
        # Processes of several regions may share this directory, and with it one authority.
        with shared_lock(self._directory / "authority.lock"):
            return Authority(self._directory).leaf(self._directory / leaf, names)

    def _admit_by(self, served: _Served) -> None:
        rules, shared = self._rules(served), served.shared
        for region in self._regions:
            region.link.gatekeeper.rules = rules
            if region.audit.receiver is not None:
                region.audit.receiver.present(
                    (served.platform.certificate, served.platform.key),
                    None if shared is None else (shared.certificate, shared.key),
                )

    def _use(self, served: _Served) -> None:
        assert self._edge is not None
        assert self._served is not None
        for pair in served.pairs:
            check_pair(pair)
            check_dates(pair)
        if served.platform != self._served.platform:
            self._edge.renew(served.platform)
        if served.shared != self._served.shared:
            self._edge.share(served.shared)
        self._admit_by(served)
        self._served = served

    def _rules(self, served: _Served) -> AdmissionRules:
        settings = self._settings
        rules = AdmissionRules(settings["domain"])
        if served.shared is not None:
            mode = SharedMode(fingerprint(served.shared.certificate), settings["shared-control-plane"])
            rules = replace(rules, shared=mode)
        if settings["pki-check-cn"]:
            names = settings["allowed-common-names"] or _siblings(served.platform)
            rules = replace(rules, common_names=tuple(names))
        return rules


def _siblings(pair: Identity) -> tuple[str, ...]:
    """Patterns for the names in the same domains as those of a certificate."""
    certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += alternative.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        pass
    parents = {name.partition(".")[2].lower() for name in names}
    # A domain of one word is nobody's: everybody would be a sibling.
    return tuple(f"*.{parent}" for parent in sorted(parents) if "." in parent)
