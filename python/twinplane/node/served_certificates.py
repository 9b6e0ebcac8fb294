"""Certificates that a node serves of itself: those of its settings, or one that it makes and keeps in its prefix."""

from __future__ import annotations

import logging
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path

from twinplane.node.authority import Identity, self_signed, write_private, write_whole
from twinplane.node.errors import NodeStartError
from twinplane.node.renewal import check_pair, read_pem
from twinplane.settings import NodeSettings
from twinplane.settings.tls import TLS12, TlsChoice

_SELF_SIGNED_DAYS = 3650
_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
log = logging.getLogger("node")


def served_certificates(settings: NodeSettings, name: str, prefix: Path, made: str) -> list[Identity]:
    """The certificates of the setting `name` and its keys, else one under the name `made`. Raises NodeStartError."""
    if not settings[name]:
        return [_made(prefix / "ssl", made)]
    found: list[Identity] = []
    problems: list[str] = []
    for at, pair in enumerate(zip(settings[name], settings[f"{name}_key"], strict=True), start=1):
        try:
            identity = Identity(*(read_pem(given) for given in pair))
            check_pair(identity)
            found.append(identity)
        except OSError as error:
            problems.append(f"{error.filename}: cannot be read: {error.strerror}")
        except ValueError as error:
            problems.append(f"{name}, number {at}: {error}")
    if problems:
        raise NodeStartError(*problems)
    return found


def server_context(identities: Sequence[Identity], choice: TlsChoice) -> ssl.SSLContext:
    """TLS for a listener of Python's own, with a certificate for each kind of key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    versions = [_VERSIONS[each] for each in choice.versions]
    context.minimum_version, context.maximum_version = min(versions), max(versions)
    context.options |= ssl.OP_NO_RENEGOTIATION
    older = [each for each in choice.suites if each in TLS12]
    if older:
        context.set_ciphers(":".join(older))
    context.set_alpn_protocols(["http/1.1"])
    load_identities(context, identities)
    return context


def load_identities(context: ssl.SSLContext, identities: Sequence[Identity]) -> None:
    """Present these from the next handshake on, each in the place of one with the same kind of key."""
    # The ssl module takes files only: a private folder holds them for the length of this call.
    with tempfile.TemporaryDirectory() as folder:
        for identity in identities:
            certificate, key = Path(folder, "certificate"), Path(folder, "key")
            certificate.write_text(identity.certificate)
            key.touch(mode=0o600)
            key.write_text(identity.key)
            context.load_cert_chain(certificate, key)


def _made(directory: Path, name: str) -> Identity:
    certificate_path, key_path = directory / f"{name}.crt", directory / f"{name}.key"
    if certificate_path.exists() and key_path.exists():
        return Identity(certificate_path.read_text(), key_path.read_text())
    identity = self_signed("localhost", days=_SELF_SIGNED_DAYS, client=False)
    try:
        directory.mkdir(exist_ok=True, mode=0o700)
        write_private(key_path, identity.key.encode())
        write_whole(certificate_path, identity.certificate.encode(), 0o644)
    except OSError as error:
        log.warning("certificate_not_kept detail=%s", error)
    return identity
