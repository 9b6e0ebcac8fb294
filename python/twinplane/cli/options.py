"""Options of the command line out of tables of settings, and back."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from twinplane.settings import Setting
from twinplane.settings.setting import SWITCH


def add_options(parser: argparse.ArgumentParser, table: Sequence[Setting]) -> None:
    """One option for each setting of a table."""
    for setting in table:
        if setting.name == "parent-fd":
            parser.add_argument("--parent-fd", help=argparse.SUPPRESS)
            continue
        shown = f" (default: {setting.default})" if setting.default else ""
        text = (setting.doc + shown).replace("%", "%%")
        if setting.kind is SWITCH:
            # `--demo` is `--demo on`.
            parser.add_argument(f"--{setting.name}", metavar=setting.kind.name, nargs="?", const="on", help=text)
        else:
            parser.add_argument(f"--{setting.name}", metavar=setting.kind.name, help=text)


def given_options(options: argparse.Namespace) -> Mapping[str, str | None]:
    """What stood on the command line, by the names of settings; None where an option was not given."""
    return {name.replace("_", "-"): value for name, value in vars(options).items()}
