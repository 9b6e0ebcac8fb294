"""`twinplane config init`: a declarative file to begin with."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from twinplane.cli.errors import StartError

EXAMPLE = """\
# A declarative configuration: what a node without a control plane serves.
#
#   twinplane config parse kong.yml      everything that is wrong with it, at once
#   twinplane config lint kong.yml       what is taken, and yet surely not meant
#
# and then, in kong.conf: role = traditional, database = off, declarative_config = /path/of/kong.yml
# A node reads it again at SIGHUP, without losing a request.

_format_version: "3.0"

# A service is an API that requests are sent on to; its routes say which requests.
# services:
#   - name: orders
#     url: https://orders.example.com/v1
#     routes:
#       - name: orders
#         paths:
#           - /orders
#     plugins:
#       - name: rate-limiting
#         config:
#           minute: 60
#           policy: local

# A consumer is who calls; credentials are how callers show who they are.
# consumers:
#   - username: shop
#     keyauth_credentials:
#       - key: a-long-random-text

# A plugin that stands by itself is for every request.
# plugins:
#   - name: correlation-id
#     config:
#       header_name: X-Request-Id
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `twinplane config init`."""
    parser.add_argument(
        "file", nargs="?", type=Path, default=Path("kong.yml"), metavar="FILE", help="default: kong.yml"
    )


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 where the file was written. Raises StartError where there is one already."""
    del environ
    try:
        with options.file.open("x", encoding="utf-8") as file:
            file.write(EXAMPLE)
    except FileExistsError as error:
        raise StartError(f"{options.file}: exists already, and stays as it is") from error
    except OSError as error:
        raise StartError(f"{options.file}: cannot be written: {error.strerror}") from error
    print(f"written to {options.file}")
    return 0
