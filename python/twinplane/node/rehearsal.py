"""Whether a node would start: everything that its settings name is read, and its core is started without a port."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from twinplane._dataplane import ApplyError, Core, StartError  # noqa: TID251 - this room talks to the core
from twinplane.node.authority import Identity
from twinplane.node.core_settings import node_core_settings
from twinplane.node.declared import read_declared, worded_fault
from twinplane.node.errors import NodeStartError, PayloadRefused
from twinplane.node.link_settings import read_link_tls
from twinplane.node.plugin_host import PluginHost
from twinplane.node.plugin_lending import HostLimits
from twinplane.node.renewal import check_pair, read_pem
from twinplane.node.served_certificates import served_certificates
from twinplane.node.vaults import Vaults
from twinplane.settings import NodeSettings

if TYPE_CHECKING:
    from twinplane.pdk import Plugin

_NODE_ID = "00000000-0000-4000-8000-000000000000"


def start_problems(
    settings: NodeSettings, environ: Mapping[str, str], plugins: Sequence[type[Plugin[Any]]] = ()
) -> list[str]:
    """Everything that keeps a node with these settings from starting, but ports that are taken.

    `plugins` are those in Python that do not come with twinplane.
    """
    problems: list[str] = []
    certificates = {name: _certificates(settings, name, problems) for name in ("ssl_cert", "status_ssl_cert")}
    if settings["role"] == "data_plane":
        problems += _link_problems(settings)
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


def _core_settings(settings: NodeSettings, certificates: Sequence[Identity], problems: list[str]) -> bytes | None:
    try:
        document = orjson.loads(node_core_settings(settings, _NODE_ID, certificates))
    except OSError as error:
        problems.append(f"{error.filename or 'proxy_listen'}: {error.strerror}")
    except ValueError as error:
        problems.append(str(error))
    else:
        return orjson.dumps(document | {"listeners": [], "workers": 1})
    return None


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
