"""`twinplane plugin run`: a node on loopback with the plugin, before an upstream that echoes; edits are followed."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import orjson

from twinplane.cli.errors import StartError
from twinplane.cli.plugin.folder import PluginFolder
from twinplane.cli.process import log_to_stderr
from twinplane.testing import Gateway, GatewayRefused, gateway

LOOK_SECONDS = 0.3


def run(directory: Path, port: int, config: str) -> int:
    """Serve until stopped. Returns the exit status; raises StartError."""
    log_to_stderr("warn")
    folder = PluginFolder(directory)
    given = _config(config)
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    state, plugins = folder.state(), folder.load()
    settings = {"proxy_listen": f"127.0.0.1:{port}", "log_level": "warn"}
    try:
        with gateway(
            [{"paths": ["/"]}], plugins=plugins, configs={each.name: given for each in plugins}, settings=settings
        ) as gw:
            names = ", ".join(each.name for each in plugins)
            print(f"{names} on http://127.0.0.1:{gw.port}/, following {folder.path}", flush=True)
            while not stop.wait(LOOK_SECONDS):
                found = folder.state()
                if found != state:
                    state = found
                    _reload(gw, folder)
    except GatewayRefused as error:
        raise StartError(*str(error).splitlines()) from error
    return 0


def _reload(gw: Gateway, folder: PluginFolder) -> None:
    try:
        is_served = gw.reload(*folder.load())
    except StartError as error:
        for problem in error.problems:
            print(f"not reloaded: {problem}", file=sys.stderr, flush=True)
        return
    told = "reloaded" if is_served else "not reloaded: the configuration is refused with it"
    print(told, flush=True)


def _config(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise StartError(f"--config: {error}") from error
    if not isinstance(found, dict):
        raise StartError("--config: expected a JSON object")
    return found
