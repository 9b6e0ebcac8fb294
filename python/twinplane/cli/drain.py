"""`twinplane drain`: takes the node of this machine out of service before it is stopped.

The node says "draining" on its readiness from then on and keeps serving, so that balancers and service meshes send
their next requests elsewhere; what comes meanwhile is answered.
"""

from __future__ import annotations

import argparse
import http.client
import time
from collections.abc import Mapping
from pathlib import Path

from twinplane.cli.errors import StartError
from twinplane.cli.health import node_client
from twinplane.settings import SettingsError, load_node_settings
from twinplane.settings.setting import Mistake, integer

_WAIT = integer(0, 3600, unit="seconds")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `twinplane drain`."""
    parser.add_argument("-c", "--conf", type=Path, metavar="FILE", help="kong.conf of the node")
    parser.add_argument(
        "--wait", metavar=_WAIT.name, default="10", help="seconds to wait until balancers have noticed (default: 10)"
    )


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Drain, then wait. Returns 0; raises StartError where the node cannot be told."""
    try:
        wait = _WAIT.read(options.wait)
    except ValueError as error:
        raise SettingsError([Mistake("command line", "wait", str(error))]) from error
    client = node_client(load_node_settings(options.conf, environ)["status_listen"])
    try:
        client.call("POST", "/status/ready", {"status": "draining"})
    except (OSError, http.client.HTTPException) as error:
        raise StartError(f"the node cannot be told to drain: {error}") from error
    print(f"draining; waiting {wait} s", flush=True)
    time.sleep(wait)
    return 0
