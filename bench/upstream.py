"""The upstream of all questions: nginx on the load's processor, with answers of several sizes and one of gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import LOAD_CPU, free_port, nginx, nginx_user, pinned, started_process, wait_for_port

SIZES = {"64 B": 64, "1 KiB": 1024, "64 KiB": 65_536, "1 MiB": 1_048_576}

# An answer to gRPC is one message and the trailer that ends it; a POST gets a static file by this detour only.
_CONF = """
{user} worker_processes 1; daemon off; pid {dir}/up.pid; error_log /dev/null crit; worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 300s; client_max_body_size 0;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
  scgi_temp_path {dir}/s; sendfile on; open_file_cache max=16; default_type text/plain;
  server {{ listen 127.0.0.1:{http} backlog=4096;
    location / {{ return 200 "{kib}"; }}
    location /drop {{ client_body_buffer_size 1100k; proxy_pass http://127.0.0.1:{http}/; proxy_pass_request_body off;
      proxy_set_header Content-Length ""; }}
    location /bytes/ {{ alias {dir}/bytes/; }} }}
  server {{ listen 127.0.0.1:{h2c} http2 backlog=4096; default_type application/grpc;
    location / {{ error_page 418 =200 /message; return 418; }}
    location = /message {{ alias {dir}/message; add_trailer grpc-status 0; }} }} }}
"""

# A gRPC message of 64 bytes: not compressed, its length, the bytes.
GRPC_MESSAGE = b"\0" + (64).to_bytes(4, "big") + b"x" * 64


@dataclass(frozen=True, slots=True)
class Upstream:
    """Its ports: HTTP/1.1, and gRPC over HTTP/2 without TLS."""

    http: int
    h2c: int


@contextmanager
def upstream(directory: Path) -> Iterator[Upstream]:
    """`/` answers 1 KiB, `/bytes/N` so many, `/drop` 1 KiB once it has read what was sent."""
    ports = Upstream(free_port(), free_port())
    (directory / "bytes").mkdir()
    for size in SIZES.values():
        (directory / "bytes" / str(size)).write_bytes(b"x" * size)
    (directory / "message").write_bytes(GRPC_MESSAGE)
    conf = directory / "upstream.conf"
    conf.write_text(_CONF.format(user=nginx_user(), dir=directory, http=ports.http, h2c=ports.h2c, kib="x" * 1024))
    with started_process(pinned(LOAD_CPU, nginx(), "-c", str(conf), "-p", str(directory)), directory, "upstream"):
        wait_for_port(ports.http)
        yield ports
