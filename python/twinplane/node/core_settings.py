"""What the core is started with, as the bytes that cross its door. See `_dataplane.pyi` for the form."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from twinplane import __version__
from twinplane.node.authority import Identity
from twinplane.node.renewal import check_pair, read_pem
from twinplane.node.request_limits import attempts, error_templates, request_limits
from twinplane.node.sockets import resolved
from twinplane.settings import Listener, NodeSettings
from twinplane.settings.tls import TLS12, TLS13

# Limits of one request and one connection. SETTLED values; a request beyond them is refused early and cheaply.
LIMITS: Mapping[str, int] = {
    "head_bytes_max": 32 * 1024,
    "line_bytes_max": 8 * 1024,
    "fields_max": 100,
    "head_timeout_ms": 10_000,
    "idle_timeout_ms": 60_000,
    "h2_streams_max": 100,
    "h2_header_list_bytes_max": 64 * 1024,
    "connections_max": 20_000,
    "body_bytes_max": 0,
    "buffered_body_bytes_max": 8 * 1024 * 1024,
}
RECORDS_MAX = 100_000
LOG_ENTRIES_MAX = 10_000
_SECOND_MS = 1000


def node_core_settings(settings: NodeSettings, node_id: str, certificates: Sequence[Identity]) -> bytes:
    """The core's settings for a data plane node."""
    listeners = [*resolved(settings["proxy_listen"]), *resolved(settings["stream_listen"])]
    document = _common(node_id, settings["nginx_worker_processes"], listeners, certificates)
    document |= {
        "client_certificate": _client_certificate(settings),
        "trusted_certificates": trusted_certificates(settings["lua_ssl_trusted_certificate"] or ()),
        "grpcs_tls_verify": settings["grpcs_tls_verify"],
        **_tls(settings),
        "trusted_ips": [each for each in settings["trusted_ips"] or () if each != "unix:"],
        "real_ip_header": settings["real_ip_header"],
        "real_ip_recursive": settings["real_ip_recursive"],
        "headers": _words(settings["headers"]),
        "headers_upstream": _words(settings["headers_upstream"]),
        "error_default_type": settings["error_default_type"],
        "allow_debug_header": settings["allow_debug_header"],
        "ambiguous_paths": settings["ambiguous_paths"],
        "router_flavor": settings["router_flavor"],
        "route_match_calculation": settings["route_match_calculation"],
        "upstream_keepalive": {
            "pool_size": settings["upstream_keepalive_pool_size"],
            "max_requests": settings["upstream_keepalive_max_requests"],
            "idle_timeout_s": settings["upstream_keepalive_idle_timeout"],
            "h2_streams": settings["upstream_http2_streams"],
        },
        "slow_targets": _slow_targets(settings),
        "limits": {**LIMITS, **request_limits(settings, document["workers"])},
        "access_lines_max": 0 if settings["proxy_access_log"] is None else settings["proxy_access_log_lines"],
        "access_format": _access_format(settings),
        "attempts": attempts(settings),
        "error_templates": error_templates(settings),
        "cache_bytes_max": settings["mem_cache_size"],
        "changed_body_bytes_max": settings["response_transformer_body"],
        "limit_windows_max": settings["rate_limit_windows"],
        "counter_commands_max": settings["rate_limit_redis_waiting"],
        "dns": _dns(settings),
        "port_maps": {str(listening): seen for seen, listening in settings.port_maps},
    }
    return orjson.dumps(document)


def edge_core_settings(
    listeners: Sequence[Listener],
    workers: int | None,
    certificate: Identity,
    client_certificate_hosts: Sequence[str],
    body_bytes_max: int,
) -> bytes:
    """The core's settings for the front door of a control plane."""
    document = _common("edge", workers, listeners, [certificate])
    document |= {
        "headers": ["server_tokens"],
        "headers_upstream": [],
        "limits": {**LIMITS, "body_bytes_max": body_bytes_max},
        "edge": {"client_certificate_hosts": list(client_certificate_hosts)},
    }
    return orjson.dumps(document)


def trusted_certificates(places: Sequence[str]) -> str | None:
    """The certificates of a list of files and the word `system`, as one PEM text."""
    texts: list[str] = []
    for place in places:
        if place == "system":
            paths = ssl.get_default_verify_paths()
            found = next((path for path in (paths.cafile, paths.openssl_cafile) if path and Path(path).exists()), None)
            if found is not None:
                texts.append(Path(found).read_text(encoding="utf-8", errors="replace"))
        else:
            texts.append(Path(place).read_text(encoding="utf-8", errors="replace"))
    return "\n".join(texts) or None


def _common(
    node_id: str, workers: int | None, listeners: Sequence[Listener], certificates: Sequence[Identity]
) -> dict[str, Any]:
    return {
        "node_id": node_id,
        "hostname": socket.gethostname(),
        "version": f"twinplane/{__version__}",
        "workers": workers or os.cpu_count() or 1,
        "listeners": [_listener(each) for each in listeners],
        "default_certificates": [{"cert": each.certificate, "key": each.key} for each in certificates],
        "client_certificate": None,
        "trusted_certificates": None,
        "tls_protocols": ["TLSv1.2", "TLSv1.3"],
        "trusted_ips": [],
        "real_ip_header": "X-Real-IP",
        "real_ip_recursive": False,
        "headers": ["server_tokens", "latency_tokens", "X-Kong-Request-Id"],
        "headers_upstream": ["X-Kong-Request-Id"],
        "error_default_type": "text/plain",
        "allow_debug_header": False,
        "ambiguous_paths": "refuse",
        "router_flavor": "traditional_compatible",
        "route_match_calculation": "original",
        "upstream_keepalive": {"pool_size": 512, "max_requests": 10_000, "idle_timeout_s": 60},
        "limits": dict(LIMITS),
        "dns": None,
        "port_maps": {},
        "records_max": RECORDS_MAX,
        "log_entries_max": LOG_ENTRIES_MAX,
        "edge": None,
    }


def _listener(listener: Listener) -> dict[str, Any]:
    found = {
        "address": listener.address,
        "port": listener.port,
        "tls": listener.tls,
        "http2": listener.http2,
        "proxy_protocol": listener.proxy_protocol,
        "reuseport": listener.reuseport,
        "backlog": listener.backlog,
    }
    if listener.stream:
        found |= {"stream": True, "udp": listener.udp}
    if not listener.ipv6only:
        found["ipv6only"] = False
    if listener.keepalive is not None:
        found["keepalive"] = asdict(listener.keepalive)
    return found


def _tls(settings: NodeSettings) -> dict[str, Any]:
    """What is spoken with clients; what is as the core has it by itself is left out."""
    choice = settings.tls
    found: dict[str, Any] = {"tls_protocols": list(choice.versions)}
    if choice.suites != (*TLS13, *TLS12):
        found["tls_cipher_suites"] = list(choice.suites)
    if choice.prefers_own_order:
        found["tls_prefers_own_order"] = True
    if not settings["ssl_session_tickets"]:
        found["tls_tickets"] = False
    return found


def _client_certificate(settings: NodeSettings) -> dict[str, str] | None:
    if not settings["client_ssl"]:
        return None
    try:
        pair = Identity(read_pem(settings["client_ssl_cert"]), read_pem(settings["client_ssl_cert_key"]))
        check_pair(pair)
    except ValueError as error:
        raise ValueError(f"client_ssl_cert, client_ssl_cert_key: {error}") from error
    return {"cert": pair.certificate, "key": pair.key}


def _words(words: Sequence[str] | None) -> list[str]:
    return [] if not words or tuple(words) == ("off",) else list(words)


def _access_format(settings: NodeSettings) -> dict[str, Any] | None:
    place, found = settings["proxy_access_log"], settings["nginx_http_log_format"]
    if place is None or found is None or place.format != found.name:
        return None
    return {"escape": found.escape, "parts": [{kind: text} for kind, text in found.parts]}


def _slow_targets(settings: NodeSettings) -> dict[str, Any] | None:
    if settings["slow_target_factor"] is None:
        return None
    return {"factor": settings["slow_target_factor"], "pause_s": settings["slow_target_pause"]}


def _dns(settings: NodeSettings) -> dict[str, Any]:
    if settings["new_dns_client"]:
        # Service records go by the form of the name, whatever their place in the list.
        families = sorted(settings["resolver_family"], key=lambda family: family != "SRV")
        return {
            "resolvers": [_with_port(each) for each in settings["resolver_address"] or ()],
            "hosts_file": str(settings["resolver_hosts_file"]),
            "order": families,
            "services_by_name": True,
            "valid_ttl": settings["resolver_valid_ttl"],
            "stale_ttl": settings["resolver_stale_ttl"],
            "not_found_ttl": settings["resolver_error_ttl"],
            "error_ttl": settings["resolver_error_ttl"],
            "cache_size": settings["resolver_lru_cache_size"],
        }
    return {
        "resolvers": [_with_port(each) for each in settings["dns_resolver"] or ()],
        "hosts_file": str(settings["dns_hostsfile"]),
        "order": [*settings["dns_order"], "A", "AAAA"],
        "valid_ttl": settings["dns_valid_ttl"],
        "stale_ttl": settings["dns_stale_ttl"],
        "not_found_ttl": settings["dns_not_found_ttl"],
        "error_ttl": settings["dns_error_ttl"],
        "cache_size": settings["dns_cache_size"],
    }


def _with_port(resolver: str) -> str:
    """A name server with its port: `192.0.2.1:53`, `[2001:db8::1]:53`."""
    try:
        address = ipaddress.ip_address(resolver.strip("[]"))
    except ValueError:
        return resolver
    return f"[{address}]:53" if address.version == 6 else f"{address}:53"
