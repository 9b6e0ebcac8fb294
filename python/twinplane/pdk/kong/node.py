"""`kong.log`, `kong.ctx`, `kong.node`, `kong.nginx`, `kong.vault`: what surrounds a request."""

from __future__ import annotations

import logging
import socket
from typing import Any

import orjson

from twinplane.pdk.kong.calls import Calling, UnsupportedCall, call
from twinplane.pdk.kong.logged import LoggedVisit
from twinplane.pdk.kong.request import arguments

_LEVELS = {
    "emerg": logging.CRITICAL,
    "alert": logging.CRITICAL,
    "crit": logging.CRITICAL,
    "err": logging.ERROR,
    "warn": logging.WARNING,
    "notice": logging.INFO,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
_TLS_VERSIONS = ("TLSv1.2", "TLSv1.3")


def _log_at(word: str, level: int) -> None:
    def tell(calling: Calling, *words: Any) -> None:
        told = "".join(str(each) for each in words)
        logging.getLogger(calling.logger).log(level, "%s request_id=%s", told, calling.visit.request_id)

    call(f"kong.log.{word}")(tell)


for _word, _level in _LEVELS.items():
    _log_at(_word, _level)


@call("kong.log.serialize", ("log",))
def _serialize(calling: Calling) -> str:
    assert isinstance(calling.visit, LoggedVisit)
    return orjson.dumps(calling.visit.entry).decode()


@call("kong.ctx.shared.get", ("rewrite", "access", "response", "header_filter", "body_filter"))
def _shared_get(calling: Calling, name: str) -> Any:
    return _shared(calling).get(name)


@call("kong.ctx.shared.set", ("rewrite", "access", "response", "header_filter", "body_filter"))
def _shared_set(calling: Calling, name: str, value: Any) -> None:
    _shared(calling)[name] = value


call("kong.nginx.ctx.get", ("rewrite", "access", "response", "header_filter", "body_filter"))(_shared_get)
call("kong.nginx.ctx.set", ("rewrite", "access", "response", "header_filter", "body_filter"))(_shared_set)


def _shared(calling: Calling) -> dict[str, Any]:
    found = calling.visit.shared()
    if found is None:
        found = {}
        calling.visit.share(found)
    assert isinstance(found, dict)
    return found


@call("kong.node.get_id")
def _node_id(calling: Calling) -> str:
    return calling.around.node_id


@call("kong.node.get_hostname")
def _hostname(_calling: Calling) -> str:
    return socket.gethostname()


@call("kong.vault.get")
def _vault_get(calling: Calling, reference: str) -> str:
    return calling.around.secret(reference)


@call("kong.vault.is_reference")
def _is_reference(_calling: Calling, value: object) -> bool:
    return isinstance(value, str) and value.startswith("{vault://") and value.endswith("}")


@call("kong.nginx.get_subsystem")
def _subsystem(_calling: Calling) -> str:
    return "http"


@call("kong.nginx.req_start_time")
def _start(calling: Calling) -> float:
    return int(calling.visit.fact("started_us")) / 1_000_000


@call("kong.nginx.get_tls1_version_str")
def _tls_version(calling: Calling) -> str | None:
    found = calling.visit.fact("tls_version")
    return found if found in _TLS_VERSIONS else None


_VARIABLES = {
    "request_method": "method",
    "remote_addr": "client_ip",
    "remote_port": "client_port",
    "realip_remote_addr": "peer_ip",
    "realip_remote_port": "peer_port",
    "scheme": "scheme",
    "server_port": "port",
    "server_addr": "listener_ip",
    "http_host": "host",
    "uri": "path",
    "request_uri": "target",
    "args": "query",
    "query_string": "query",
    "ssl_server_name": "sni",
    "ssl_protocol": "tls_version",
    "ssl_cipher": "tls_cipher",
}


@call("kong.nginx.get_var")
def _variable(calling: Calling, name: str) -> Any:
    visit = calling.visit
    if name in _VARIABLES:
        return visit.fact(_VARIABLES[name]) or None
    if name == "request_id":
        return visit.request_id
    if name == "host":
        return visit.fact("host").partition(":")[0].lower()
    if name in {"content_type", "content_length"}:
        return visit.header(False, name.replace("_", "-"))
    if name.startswith("http_"):
        return visit.header(False, name.removeprefix("http_").replace("_", "-"))
    if name.startswith("arg_"):
        found = arguments(visit.fact("query"), 100).get(name.removeprefix("arg_"))
        return found[0] if isinstance(found, list) else found
    raise UnsupportedCall(f"kong.nginx.get_var('{name}') is not supported by this gateway: there is no such variable")
