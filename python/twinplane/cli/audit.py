"""`twinplane audit verify`: walks the chain of audit records of a data directory, and says what is wrong with it.

Reads beside a running control plane.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping

from twinplane.cli.errors import StartError
from twinplane.cli.options import add_options, given_options
from twinplane.settings import CONTROL_PLANE, load_process_settings

EXIT_BROKEN = 1
_HASH = re.compile(r"[0-9a-f]{64}")
_SHOWN_MAX = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `twinplane audit`."""
    parser.add_argument("action", choices=("verify",), help="verify: look for records that were removed or changed")
    add_options(parser, [setting for setting in CONTROL_PLANE if setting.name == "data"])
    parser.add_argument("--known", metavar="HASH", help="the hash of a record, noted earlier, that must still be there")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 where the chain is whole, 1 where it is not. Raises StartError where it cannot be read."""
    known: str | None = options.known
    if known is not None and not _HASH.fullmatch(known):
        raise StartError("--known: expected the 64 hexadecimal digits of a record's hash")
    # Loaded where it is used: other commands need no store.
    from twinplane.control.audit import open_trail  # noqa: PLC0415
    from twinplane.store.errors import StoreError  # noqa: PLC0415

    directory = load_process_settings(CONTROL_PLANE, {"data": given_options(options)["data"]}, environ)["data"]
    try:
        with open_trail(directory.absolute()) as trail:
            found = trail.verify(known=known)
    except StoreError as error:
        raise StartError(str(error)) from error
    for fault in found.faults[:_SHOWN_MAX]:
        print(f"twinplane: {fault}", file=sys.stderr)
    if len(found.faults) > _SHOWN_MAX:
        print(f"twinplane: {len(found.faults) - _SHOWN_MAX} more", file=sys.stderr)
    state = "broken" if found.faults else "whole"
    print(f"{state}: {found.records} records from {found.first} to {found.last}, last hash {found.head}")
    return EXIT_BROKEN if found.faults else 0
