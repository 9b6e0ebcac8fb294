"""What the settings say about one request and one connection, as the core wants it: limits, attempts, error forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twinplane.settings import NodeSettings

TEMPLATE_BYTES_MAX = 65_536
BUFFERED_BYTES_LEAST = 8 * 1024 * 1024


def request_limits(settings: NodeSettings, workers: int) -> dict[str, int]:
    """Limits of a request and a connection that settings name; the core has others of its own."""
    number, line_bytes = settings["nginx_http_large_client_header_buffers"]
    buffers, buffer_bytes = settings["nginx_proxy_proxy_buffers"]
    longest = max(line_bytes, settings["nginx_http_client_header_buffer_size"])
    found = {
        "body_bytes_max": settings["nginx_http_client_max_body_size"],
        "buffered_body_bytes_max": max(settings["nginx_http_client_body_buffer_size"], BUFFERED_BYTES_LEAST),
        "line_bytes_max": longest,
        "head_bytes_max": max(number * line_bytes, longest),
        "fields_max": settings["lua_max_req_headers"],
        "head_timeout_ms": settings["nginx_http_client_header_timeout"],
        "body_timeout_ms": settings["nginx_http_client_body_timeout"],
        "body_bytes_per_s_min": settings["client_body_min_rate"],
        "send_timeout_ms": settings["nginx_http_send_timeout"],
        "idle_timeout_ms": settings["nginx_http_keepalive_timeout"],
        # No time to wait for a second request: none is taken.
        "requests_max": settings["nginx_http_keepalive_requests"] if settings["nginx_http_keepalive_timeout"] else 1,
        "udp_sessions_max": settings["stream_udp_sessions_max"],
        "response_head_bytes_max": settings["nginx_proxy_proxy_buffer_size"] or 0,
        "buffered_response_bytes_max": settings["python_plugin_response_max"],
        "response_ahead_bytes_max": buffers * buffer_bytes if settings["nginx_proxy_proxy_buffering"] else 0,
        "responses_ahead_bytes_max": settings["response_buffers_total"],
    }
    if settings["nginx_events_worker_connections"] is not None:
        found["connections_max"] = settings["nginx_events_worker_connections"] * workers
    if not found["idle_timeout_ms"]:
        del found["idle_timeout_ms"]
    return found


def attempts(settings: NodeSettings) -> dict[str, Any]:
    """Time-outs and further attempts towards upstreams."""
    after = settings["nginx_proxy_proxy_next_upstream"]
    return {
        "connect_timeout_ms": settings["nginx_proxy_proxy_connect_timeout"],
        "write_timeout_ms": settings["nginx_proxy_proxy_send_timeout"],
        "read_timeout_ms": settings["nginx_proxy_proxy_read_timeout"],
        "attempts_max": settings["nginx_proxy_proxy_next_upstream_tries"],
        "after_error": "error" in after,
        "after_timeout": "timeout" in after,
    }


def error_templates(settings: NodeSettings) -> dict[str, str]:
    """The forms of errors that files hold. Raises OSError and ValueError."""
    return {
        form: _template(f"error_template_{form}", path)
        for form in ("html", "json", "xml", "plain")
        if (path := settings[f"error_template_{form}"]) is not None
    }


def _template(name: str, path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(TEMPLATE_BYTES_MAX + 1)
    if len(data) > TEMPLATE_BYTES_MAX:
        raise ValueError(f"{name}: {path} is larger than {TEMPLATE_BYTES_MAX} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: {path} is not UTF-8") from error
