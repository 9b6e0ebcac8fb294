"""`twinplane hybrid gen_cert`: the pair that both ends hold in shared mode, or that a node is pinned by."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from twinplane.cli.errors import StartError
from twinplane.node.authority import clustering_pair
from twinplane.settings.setting import Mistake, SettingsError

DAYS = 1095
_DAYS_MAX = 36_500
_NAMES = (Path("cluster.crt"), Path("cluster.key"))


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    purpose = "make a certificate and its private key for the link between nodes and a control plane"
    made = actions.add_parser("gen_cert", help=purpose, description=f"{purpose[:1].upper()}{purpose[1:]}.")
    made.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help=f"where the certificate and the key go (default: {_NAMES[0]} {_NAMES[1]}); neither may be there",
    )
    made.add_argument("-d", "--days", default=str(DAYS), metavar="DAYS", help=f"days of validity (default: {DAYS})")


def run(options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    """Make the pair. Raises SettingsError, StartError."""
    mistakes = []
    if len(options.files) not in (0, 2):
        mistakes.append(Mistake("command line", "gen_cert", "expected a certificate file and a key file, or neither"))
    if not (options.days.isascii() and options.days.isdecimal()) or not 1 <= int(options.days) <= _DAYS_MAX:
        mistakes.append(Mistake("command line", "days", f"expected a whole number from 1 to {_DAYS_MAX}"))
    if mistakes:
        raise SettingsError(mistakes)
    certificate, key = options.files or _NAMES
    if certificate.absolute() == key.absolute():
        raise StartError(f"{key}: the certificate and the key need a file each")
    taken = [f"{path} is there already: it is not overwritten" for path in (certificate, key) if os.path.lexists(path)]
    if taken:
        raise StartError(*taken)
    pair = clustering_pair(days=int(options.days))
    # The key first: a certificate that lies there has its key.
    _write_new(key, pair.key, 0o600)
    try:
        _write_new(certificate, pair.certificate, 0o644)
    except StartError:
        with contextlib.suppress(OSError):
            key.unlink()
        raise
    print(f"made {certificate} and {key}", flush=True)
    return 0


def _write_new(path: Path, text: str, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StartError(f"{path}: cannot be written: {error.strerror}") from error
