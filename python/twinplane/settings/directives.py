"""Directives of nginx that a `kong.conf` injects, `nginx_<block>_<directive>`: what is obeyed, and what means nothing.

A table, never code. A directive in neither part is warned of by name, or refused with `strict_conf = on`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from twinplane.settings.setting import SIZE, SWITCH, Kind, Setting, duration, integer, sized

BLOCKS: Final = (
    "main",
    "events",
    "http",
    "upstream",
    "proxy",
    "location",
    "status",
    "admin",
    "stream",
    "sproxy",
    "supstream",
    "admin_gui",
    "debug",
    "wasm",
    "wasmtime",
    "wasmer",
    "v8",
)
_DAY_MS = 86_400_000
_KIB = 1024
_INJECTED = re.compile(rf"nginx_({'|'.join(sorted(BLOCKS, key=len, reverse=True))})_(\w+)")


def _injected(directive: str) -> tuple[str, ...]:
    """The names of a directive in the blocks that it may be injected into: in the inner one it counts more."""
    return (f"nginx_http_{directive}", f"nginx_proxy_{directive}")


def _injected_deep(directive: str) -> tuple[str, ...]:
    return (*_injected(directive), f"nginx_location_{directive}")


def _read_buffers(text: str) -> tuple[int, int]:
    number, _, size = text.partition(" ")
    bytes_each = SIZE.read(size.strip()) if size.strip() else 0
    if not number.isascii() or not number.isdigit() or not 1 <= int(number[:4]) <= 64:
        raise ValueError(f"expected a number from 1 to 64 and a size, such as 4 8k, got '{text}'")
    if not _KIB <= bytes_each <= 1024 * _KIB:
        raise ValueError(f"expected a number and a size from 1k to 1m, such as 4 8k, got '{text}'")
    return int(number), bytes_each


def _read_keepalive(text: str) -> int:
    # A second time is what nginx tells clients in a header; none is told here.
    times = text.split()
    if not 1 <= len(times) <= 2:
        raise ValueError(f"expected a time such as 60s, got '{text}'")
    kind = duration(0, _DAY_MS)
    first, *_ = [kind.read(each) for each in times]
    return first


_NEXT_WORDS: Final = frozenset({"error", "timeout", "off"})
_NEXT_ELSEWHERE: Final = frozenset(
    {
        "invalid_header",
        "non_idempotent",
        "http_403",
        "http_404",
        "http_429",
        "http_500",
        "http_502",
        "http_503",
        "http_504",
    }
)


def _read_next(text: str) -> frozenset[str]:
    words = frozenset(text.split())
    unknown = sorted(words - _NEXT_WORDS - _NEXT_ELSEWHERE)
    if unknown or not words or ("off" in words and len(words) > 1):
        raise ValueError(f"expected off, or error and timeout, got '{text}'")
    return words & _NEXT_WORDS


def next_warnings(text: str) -> Iterable[str]:
    """What of a `proxy_next_upstream` is not heeded."""
    for word in sorted(set(text.split()) & _NEXT_ELSEWHERE):
        reason = "nothing that could act twice is sent twice" if word == "non_idempotent" else "an answer is passed on"
        yield f"'{word}' is not heeded: {reason}"


BUFFERS: Kind[tuple[int, int]] = Kind("number and size", _read_buffers)
_NEXT: Kind[frozenset[str]] = Kind("off, or error and timeout", _read_next)
_KEEPALIVE: Kind[int] = Kind("time 0..1d", _read_keepalive)


def _read_auto(text: str) -> int | None:
    return None if text == "auto" else integer(1, 2**31 - 1).read(text)


_AUTO: Kind[int | None] = Kind("auto|integer 1..2147483647", _read_auto)


def _timeout(name: str, verb: str) -> Setting:
    return Setting(
        f"nginx_proxy_{name}",
        duration(1, 24 * 86_400_000),
        "60s",
        f"How long {verb} where its service keeps the usual 60000 ms. A service with another time keeps that.",
        names=_injected_deep(name),
    )


DIRECTIVES: tuple[Setting, ...] = (
    Setting(
        "nginx_http_client_max_body_size",
        SIZE,
        "0",
        "Largest request body; 0 is no limit. More is answered with 413.",
        names=("client_max_body_size", *_injected("client_max_body_size")),
    ),
    Setting(
        "nginx_http_client_body_buffer_size",
        SIZE,
        "8m",
        "Longest request body that is held in memory for a plugin that reads it, 8m at least. There is no file for"
        " more: where a plugin needs a longer one the request is answered with 413.",
        names=("client_body_buffer_size", *_injected("client_body_buffer_size")),
    ),
    Setting(
        "nginx_http_large_client_header_buffers",
        BUFFERS,
        "4 8k",
        "Longest request head, as number and size: a line may be as long as one of them, the head as all together."
        " More is answered with 414 (the first line) or 400.",
        names=_injected("large_client_header_buffers"),
    ),
    Setting(
        "nginx_http_client_header_buffer_size",
        sized(1, 1024 * _KIB),
        "1k",
        "Longest line of a request head, where that is more than large_client_header_buffers says.",
        names=_injected("client_header_buffer_size"),
    ),
    Setting(
        "nginx_http_client_header_timeout",
        duration(1, _DAY_MS),
        "10s",
        "How long a client may take for the TLS handshake and, again, for a request's head; then 408. nginx has 60s.",
        names=_injected("client_header_timeout"),
    ),
    Setting(
        "nginx_http_client_body_timeout",
        duration(1, _DAY_MS),
        "60s",
        "How long a client may be silent within a request's body; then 408.",
        names=_injected("client_body_timeout"),
    ),
    Setting(
        "nginx_http_send_timeout",
        duration(1, _DAY_MS),
        "60s",
        "How long a client may take nothing of a response; then the connection is closed.",
        names=_injected("send_timeout"),
    ),
    Setting(
        "nginx_http_keepalive_timeout",
        _KEEPALIVE,
        "60s",
        "How long a connection of a client is kept without a request; 0 closes it after each. nginx has 75s.",
        names=_injected("keepalive_timeout"),
    ),
    Setting(
        "nginx_http_keepalive_requests",
        integer(1, 10**9),
        "10000",
        "Requests taken from one client connection.",
        names=_injected("keepalive_requests"),
    ),
    _timeout("proxy_connect_timeout", "a connection to an upstream may take"),
    _timeout("proxy_send_timeout", "an upstream may take nothing of a request"),
    _timeout("proxy_read_timeout", "an upstream may say nothing"),
    Setting(
        "nginx_proxy_proxy_buffer_size",
        sized(_KIB, 1024 * _KIB),
        "",
        "Longest head of an upstream's response; more is answered with 502. Default: as long as a request's may be.",
        names=_injected_deep("proxy_buffer_size"),
    ),
    Setting(
        "nginx_proxy_proxy_buffering",
        SWITCH,
        "on",
        "Whether responses are read ahead of clients that are slow, on routes with response_buffering; off: on none.",
        names=_injected_deep("proxy_buffering"),
    ),
    Setting(
        "nginx_proxy_proxy_buffers",
        BUFFERS,
        "16 64k",
        "How much of a response is read ahead of a client that is slow, as number and size, multiplied. There is no"
        " file for more: its upstream waits for the client then. Below 64k in all nothing is read ahead.",
        names=_injected_deep("proxy_buffers"),
    ),
    Setting(
        "nginx_proxy_proxy_next_upstream",
        _NEXT,
        "error timeout",
        "After which failures another attempt is made, within the retries of the service; off for none. What could act"
        " twice is never sent twice, and answers are passed on whatever their status.",
        names=_injected_deep("proxy_next_upstream"),
    ),
    Setting(
        "nginx_proxy_proxy_next_upstream_tries",
        integer(0, 65_535),
        "0",
        "Attempts at one request, the first included; 0: as many as its service allows.",
        names=_injected_deep("proxy_next_upstream_tries"),
    ),
    Setting(
        "nginx_events_worker_connections",
        _AUTO,
        "auto",
        "Open connections of clients, for each worker; further ones are closed at once and counted. auto: 20000 in"
        " all.",
    ),
    Setting(
        "nginx_main_worker_rlimit_nofile",
        _AUTO,
        "auto",
        "Files and sockets that the process may have open. auto: as many as the system lets it.",
    ),
)

_UNBUFFERED = "Bodies pass through memory alone; nothing is put into files."
_NO_LUA = "No Lua is run."
_SERVICE = "A matter of whoever starts the process."
_EVENTS = "Each worker waits for its own sockets."
_LOGS = "The settings of logs say where they go."

IDLE_DIRECTIVES: Mapping[str, str] = {
    "accept_mutex": _EVENTS,
    "aio": _UNBUFFERED,
    "charset": "What the gateway itself answers is UTF-8.",
    "client_body_in_file_only": _UNBUFFERED,
    "client_body_in_single_buffer": _UNBUFFERED,
    "client_body_temp_path": _UNBUFFERED,
    "daemon": _SERVICE,
    "directio": _UNBUFFERED,
    "error_log": _LOGS,
    "lock_file": _SERVICE,
    "lua_regex_cache_max_entries": _NO_LUA,
    "lua_regex_match_limit": "Expressions are matched in linear time.",
    "master_process": _SERVICE,
    "multi_accept": _EVENTS,
    "pcre_jit": "Expressions are matched in linear time.",
    "pid": _SERVICE,
    "proxy_busy_buffers_size": "What has come is sent at once: nothing waits for a buffer to be full.",
    "proxy_max_temp_file_size": _UNBUFFERED,
    "proxy_request_buffering": "request_buffering of a route says so.",
    "proxy_temp_file_write_size": _UNBUFFERED,
    "proxy_temp_path": _UNBUFFERED,
    "resolver": "The settings of names say whom to ask.",
    "sendfile": _UNBUFFERED,
    "server_tokens": "The setting headers says which are added.",
    "tcp_nodelay": "Small packets always leave at once.",
    "tcp_nopush": _UNBUFFERED,
    "types_hash_bucket_size": "No files are served.",
    "types_hash_max_size": "No files are served.",
    "underscores_in_headers": "Headers with underscores always pass, as with Kong.",
    "use": _EVENTS,
    "user": _SERVICE,
    "variables_hash_bucket_size": _NO_LUA,
    "variables_hash_max_size": _NO_LUA,
    "worker_cpu_affinity": _SERVICE,
    "worker_priority": _SERVICE,
}


def idle_directive(name: str) -> str | None:
    """Why a directive changes nothing here; None for a name that is no such directive."""
    found = _INJECTED.fullmatch(name)
    if found is None:
        return None
    directive = found[2]
    return _NO_LUA if directive.startswith("lua_") else IDLE_DIRECTIVES.get(directive)


def is_injected(name: str) -> bool:
    """Whether a name is that of an injected directive, known or not."""
    return _INJECTED.fullmatch(name) is not None
