"""`twinplane data-plane`: a node, joined to a control plane or with a declarative file."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from twinplane.cli.enabling import enabled_plugins, plugins_of
from twinplane.cli.errors import DirectoryUnusable, LicenseRefused, StartError
from twinplane.cli.process import (
    allow_open_files,
    lock_directory,
    log_lines_lost,
    log_to_file,
    log_to_stderr,
    make_directory,
    reopen_logs,
    set_log_level,
)
from twinplane.cli.signals import stop_on_signals
from twinplane.node.admin_part import AdminFace
from twinplane.node.cache import ConfigCache
from twinplane.node.declared import DECLARED_REFUSED, POSTED_NAME, DeclaredConfig, read_declared, read_posted
from twinplane.node.errors import LicenseExpired, NodeStartError
from twinplane.node.identity import node_keyring
from twinplane.node.runner import Node
from twinplane.settings import NodeSettings, SettingsError, left_out

log = logging.getLogger("data_plane")

# Of whom failures can have a log of their own.
_LOGGED_APART = {"admin_error_log": ("admin", "twinplane.api"), "status_error_log": ("status",)}
_SYSTEM_PREFIX = Path("/usr/local/kong")

SETTINGS_REFUSED: Final = "settings_refused"

Load = Callable[[], NodeSettings]
"""Reads the settings from where they came from. Raises SettingsError."""


def run(settings: NodeSettings, *, parent_fd: int, load: Load, environ: Mapping[str, str]) -> int:
    """Serve until stopped; `load` is for SIGHUP, `environ` holds secrets. Returns the exit status."""
    log_to_stderr(settings["log_level"])
    for warning in settings.warnings:
        log.warning("setting_idle detail=%s", warning)
    allow_open_files(settings["nginx_main_worker_rlimit_nofile"])
    prefix = prefix_of(settings)
    with _hold(prefix) or contextlib.nullcontext():
        if settings["proxy_error_log"] is not None:
            log_to_file(prefix / settings["proxy_error_log"])
        for name, rooms in _LOGGED_APART.items():
            if settings[name] is not None:
                log_to_file(prefix / settings[name], *rooms)
        return asyncio.run(_serve(settings, prefix.absolute(), parent_fd, load, environ))


def _hold(prefix: Path) -> IO[str] | None:
    """The lock on the prefix. A node serves without its disk too: None where the prefix cannot be used."""
    try:
        make_directory(prefix)
        return lock_directory(prefix, "node.lock")
    except DirectoryUnusable as error:
        log.warning("prefix_unusable detail=%s; nothing is kept there for now", error)
        return None


async def _serve(settings: NodeSettings, prefix: Path, parent_fd: int, load: Load, environ: Mapping[str, str]) -> int:
    wanted = asyncio.Event()
    stop = stop_on_signals(parent_fd, reload=wanted.set, reopen=reopen_logs)
    try:
        plugins = enabled_plugins(*plugins_of(settings))
        declared = await asyncio.to_thread(_declared, settings, prefix)
        admin = None if settings["role"] == "data_plane" else _admin_face
        node = Node(settings, prefix, declared, plugins, environ, admin=admin, log_lines_lost=log_lines_lost)
        async with node.running():
            rereading = asyncio.create_task(_reread_when(wanted, node, load))
            await stop.wait()
            rereading.cancel()
            node.is_patient = stop.is_patient
    except LicenseExpired as error:
        raise LicenseRefused(*error.problems) from error
    except NodeStartError as error:
        raise StartError(*error.problems) from error
    return 0


async def _reread_when(wanted: asyncio.Event, node: Node, load: Load) -> None:
    """Each time it is asked for, put in force what can be while the node serves."""
    while True:
        await wanted.wait()
        wanted.clear()
        try:
            await _reread(node, load)
        except SettingsError as error:
            _refuse(node, map(str, error.mistakes))
        except Exception as error:
            # Whatever it is, the node serves on and can be asked again.
            log.exception("settings_not_reread")
            node.conditions.note(SETTINGS_REFUSED, f"not read again: {type(error).__name__}: {error}")


async def _reread(node: Node, load: Load) -> None:
    found = await asyncio.to_thread(load)
    for warning in found.warnings:
        log.warning("setting_idle detail=%s", warning)
    for name in left_out(node.settings.values, found.values):
        log.warning("setting_needs_restart name=%s", name)
    settings = node.settings.taking(found)
    # Both are looked at before either is in force: a mistake in one leaves the other as it was, too.
    try:
        is_change = await node.would_change(settings)
    except NodeStartError as error:
        _refuse(node, error.problems)
        return
    try:
        declared = await _declared_anew(node, settings, rehearses=is_change)
    except NodeStartError as error:
        _refuse_declared(node, error.problems)
        return
    try:
        await node.adopt(settings, declared)
    except NodeStartError as error:
        _refuse(node, error.problems)
        return
    node.conditions.clear(SETTINGS_REFUSED)
    set_log_level(found["log_level"])
    reopen_logs()
    try:
        if declared is not None:
            await node.declare(declared)
    except NodeStartError as error:
        _refuse_declared(node, error.problems)
        return
    log.info("settings_reread path=%s", found.path)


async def _declared_anew(node: Node, settings: NodeSettings, *, rehearses: bool) -> DeclaredConfig | None:
    """What the declarative file holds now: it may be something else even where its name is not.

    It is rehearsed where it comes with other settings. Alone it is refused when it is served, and nothing has changed.
    """
    if settings["role"] == "data_plane" or not _names_configuration(settings):
        return None
    declared = await asyncio.to_thread(_declared, settings, None, shows=node.shows_entities)
    assert declared is not None
    if rehearses:
        await node.rehearse(declared)
    return declared


def _refuse(node: Node, problems: Iterable[str]) -> None:
    told = list(problems)
    node.conditions.note(SETTINGS_REFUSED, "; ".join(told))
    for problem in told:
        log.error("settings_refused detail=%s; those before stay in force", problem)


def _refuse_declared(node: Node, problems: Sequence[str]) -> None:
    node.conditions.note(DECLARED_REFUSED, "; ".join(problems))
    for problem in problems:
        log.error("declarative_config_refused detail=%s; what was in force stays", problem)


def _names_configuration(settings: NodeSettings) -> bool:
    return bool(settings["declarative_config"] or settings["declarative_config_string"])


def _declared(settings: NodeSettings, prefix: Path | None, *, shows: bool = False) -> DeclaredConfig | None:
    """The configuration of a node that has no control plane; None for one that has.

    Where the settings name none it is what was posted last, which is kept in the prefix. `shows` holds its entities
    whether or not the settings have somebody ask for them.
    """
    if settings["role"] == "data_plane":
        return None
    flavor, is_shown = settings["router_flavor"], shows or bool(settings["admin_listen"])
    if prefix is None or _names_configuration(settings):
        path, text = settings["declarative_config"], settings["declarative_config_string"]
        return read_declared(path, text, flavor, is_shown=is_shown)
    cache = ConfigCache(prefix, node_keyring(settings), seals=settings["cache_encryption"], name=POSTED_NAME)
    return read_posted(cache, flavor, is_shown=is_shown)


def _admin_face(settings: NodeSettings) -> AdminFace:
    # Loaded where it is served: other nodes spare its memory.
    from twinplane.cli.node_admin import NodeAdmin  # noqa: PLC0415

    return NodeAdmin(settings)


def prefix_of(settings: NodeSettings) -> Path:
    """Where a node works: the system's place for root, the user's state directory for everybody else."""
    default = _SYSTEM_PREFIX if os.geteuid() == 0 else Path.home() / ".local" / "state" / "twinplane"
    return Path(settings["prefix"] or default)
