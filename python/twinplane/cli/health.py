"""`twinplane health`: asks the control plane or the node of this machine how it is; for containers and supervisors."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from twinplane.cli.errors import StartError
from twinplane.cli.options import add_options, given_options
from twinplane.cli.platform_client import PlatformClient
from twinplane.settings import CONTROL_PLANE, Listener, load_node_settings, load_process_settings

_ASKED = ("data", "listen", "port")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `twinplane health`."""
    parser.add_argument("role", choices=("control-plane", "data-plane"), help="which of the two")
    add_options(parser, [setting for setting in CONTROL_PLANE if setting.name in _ASKED])
    parser.add_argument("-c", "--conf", type=Path, metavar="FILE", help="kong.conf of the node")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 where it is well. Raises StartError with the reason where it is not."""
    if options.role == "control-plane":
        _ask_control_plane(options, environ)
    else:
        _ask_node(options, environ)
    print("healthy")
    return 0


def _ask_control_plane(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    settings = load_process_settings(CONTROL_PLANE, given_options(options), environ)
    if not settings["port"]:
        raise StartError("--port: 0 is chosen at start: give the port that was chosen")
    # On this machine, by its own address: what is asked is whether it answers, not who it is.
    client = PlatformClient(_reachable(settings["listen"]), settings["port"], None, is_tls=True, verifies=False)
    if not client.is_healthy():
        raise StartError(f"the control plane does not answer that it is well on port {settings['port']}")


def _ask_node(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    listeners = load_node_settings(options.conf, environ)["status_listen"]
    if not node_client(listeners).is_ready():
        raise StartError(f"the node does not answer that it is ready on {listeners[0].address}:{listeners[0].port}")


def node_client(listeners: Sequence[Listener]) -> PlatformClient:
    """A client of the node's status port, on this machine. Raises StartError where it has none."""
    if not listeners:
        raise StartError("status_listen is off: a node without a status port cannot be asked")
    listener = listeners[0]
    return PlatformClient(_reachable(listener.address), listener.port, None, is_tls=listener.tls, verifies=False)


def _reachable(address: str) -> str:
    """Where a listener on this address is reached from this machine."""
    bare = address.strip("[]")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bare, bare)  # noqa: S104 - compared with, not bound
