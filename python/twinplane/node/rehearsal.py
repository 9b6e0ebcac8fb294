"""Whether a node would start: everything that its settings name is read, and its core is started without a port."""

from __future__ import annotations

import errno
import os
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from twinplane._dataplane import ApplyError, Core, StartError  # noqa: TID251 - this room talks to the core
from twinplane.node.authority import Identity
from twinplane.node.core_settings import node_core_settings
from twinplane.node.declared import read_declared, worded_fault
from twinplane.node.errors import NodeStartError, PayloadRefused
from twinplane.node.identity import node_keyring
from twinplane.node.link_settings import read_link_tls
from twinplane.node.plugin_host import PluginHost
from twinplane.node.plugin_lending import HostLimits
from twinplane.node.renewal import check_pair, read_pem
from twinplane.node.served_certificates import served_certificates
from twinplane.node.vaults import Vaults
from twinplane.settings import NodeSettings
from twinplane.settings.log_format import AccessPlace

if TYPE_CHECKING:
    from twinplane.pdk import Plugin

_LOGS = (
    "proxy_access_log",
    "admin_access_log",
    "status_access_log",
    "proxy_error_log",
    "admin_error_log",
    "status_error_log",
)
_NODE_ID = "00000000-0000-4000-8000-000000000000"


def start_problems(
    settings: NodeSettings,
    environ: Mapping[str, str],
    plugins: Sequence[type[Plugin[Any]]] = (),
    *,
    prefix: Path | None = None,
) -> list[str]:
    """Everything that keeps a node with these settings from starting or logging, but ports that are taken.

    `plugins` are those in Python that do not come with twinplane, `prefix` is where the node works.
    """
    problems: list[str] = []
    served = ["ssl_cert", "status_ssl_cert"]
    if settings["role"] != "data_plane" and any(listener.tls for listener in settings["admin_listen"]):
        served.append("admin_ssl_cert")
    certificates = {name: _certificates(settings, name, problems) for name in served}
    link_problems = _link_problems(settings) if settings["role"] == "data_plane" else []
    problems += link_problems or _keyring_problems(settings)
    if prefix is not None:
        problems += _log_problems(settings, prefix)
    document = _core_settings(settings, certificates["ssl_cert"], problems)
    table: bytes | None = None
    if settings["declarative_config"] or settings["declarative_config_string"]:
        try:
            declared = read_declared(
                settings["declarative_config"], settings["declarative_config_string"], settings["router_flavor"]
            )
            table = declared.stored.table
        except NodeStartError as error:
            problems += error.problems
    if document is not None:
        problems += _core_problems(document, table, _vaults(settings, environ), plugins)
    return problems


def table_problems(
    settings: NodeSettings, table: bytes, environ: Mapping[str, str], plugins: Sequence[type[Plugin[Any]]] = ()
) -> list[str]:
    """Everything that a core finds wrong with a configuration."""
    problems: list[str] = []
    document = _core_settings(settings, (), problems)
    return problems if document is None else _core_problems(document, table, _vaults(settings, environ), plugins)


def refusals_beside(
    core_settings: bytes, table: bytes, vaults: Vaults, plugins: Sequence[type[Plugin[Any]]]
) -> list[str]:
    """Everything that a core finds wrong with a configuration, asked of one beside the core that serves."""
    return _core_problems(_without_ports(core_settings), table, vaults, plugins)


def _vaults(settings: NodeSettings, environ: Mapping[str, str]) -> Vaults:
    return Vaults(environ, settings.vault_env_prefix)


def _certificates(settings: NodeSettings, name: str, problems: list[str]) -> Sequence[Identity]:
    if not settings[name]:
        return ()
    try:
        with tempfile.TemporaryDirectory() as nowhere:
            return served_certificates(settings, name, Path(nowhere), name)
    except NodeStartError as error:
        problems += error.problems
        return ()


def _link_problems(settings: NodeSettings) -> list[str]:
    try:
        read_link_tls(settings)
        check_pair(Identity(read_pem(settings["cluster_cert"]), read_pem(settings["cluster_cert_key"])))
    except OSError as error:
        return [f"{error.filename}: cannot be read: {error.strerror}"]
    except (ssl.SSLError, ValueError) as error:
        return [f"cluster_cert, cluster_cert_key: cannot be used: {error}"]
    return []


def _keyring_problems(settings: NodeSettings) -> Sequence[str]:
    try:
        node_keyring(settings)
    except NodeStartError as error:
        return error.problems
    return ()


def _log_problems(settings: NodeSettings, prefix: Path) -> Iterator[str]:
    for name in _LOGS:
        place = settings[name]
        if isinstance(place, AccessPlace):
            place = place.path
        # Where there is no prefix yet, whoever starts the node makes it.
        if place is None or not (place.is_absolute() or prefix.exists()):
            continue
        try:
            problem = _unwritable(prefix / place)
        except OSError as error:
            problem = error.strerror
        if problem is not None:
            yield f"{name}: {prefix / place}: cannot be written: {problem}"


def _unwritable(path: Path) -> str | None:
    """Why no line can be added to a file, which may have yet to be made; nothing is made here."""
    if path.is_dir():
        return "it is a directory"
    if path.exists():
        return None if os.access(path, os.W_OK) else os.strerror(errno.EACCES)
    parent = next(each for each in path.parents if each.exists())
    if not parent.is_dir():
        return f"{parent} is no directory"
    return None if os.access(parent, os.W_OK | os.X_OK) else f"{parent}: {os.strerror(errno.EACCES)}"


def _core_settings(settings: NodeSettings, certificates: Sequence[Identity], problems: list[str]) -> bytes | None:
    try:
        return _without_ports(node_core_settings(settings, _NODE_ID, certificates))
    except OSError as error:
        problems.append(f"{error.filename or 'proxy_listen'}: {error.strerror}")
    except ValueError as error:
        problems.append(str(error))
    return None


def _without_ports(core_settings: bytes) -> bytes:
    return orjson.dumps(orjson.loads(core_settings) | {"listeners": [], "workers": 1})


def _core_problems(
    document: bytes, table: bytes | None, vaults: Vaults, plugins: Sequence[type[Plugin[Any]]]
) -> list[str]:
    # Plugins in Python are asked whether they take their configurations; no thread runs for them.
    host = PluginHost(HostLimits(), plugins, secret=vaults.secret)
    try:
        core = Core.start(document, None, host)
    except StartError as error:
        return [str(fault) for fault in error.args[0]]
    try:
        if table is not None:
            core.apply(vaults.resolved(table))
    except PayloadRefused as refused:
        return [worded_fault(fault) for fault in refused.faults]
    except ApplyError as error:
        return [worded_fault(fault) for fault in orjson.loads(error.args[0])]
    finally:
        core.stop(0)
    return []
