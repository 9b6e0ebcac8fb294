"""What the settings of a node say to its plugins: limits of those in Python, and what log plugins find on the node."""

from __future__ import annotations

import ssl

from twinplane.node.log_sinks import Surroundings
from twinplane.node.plugin_lending import HostLimits
from twinplane.settings import NodeSettings


def host_limits(settings: NodeSettings) -> HostLimits:
    """Limits of plugins in Python."""
    return HostLimits(
        threads=settings["python_plugin_threads"],
        calls_max=settings["python_plugin_queue"],
        timeout_ms=settings["python_plugin_timeout"],
        fails_open=settings["python_plugin_failure"] == "fail_open",
        log_entries_max=settings["python_plugin_log_queue"],
        response_bytes_max=settings["python_plugin_response"],
        http_connections_max=settings["python_plugin_http_connections"],
        http_response_bytes_max=settings["python_plugin_http_response"],
    )


def log_surroundings(settings: NodeSettings) -> Surroundings:
    """What log plugins find on this node."""
    return Surroundings(
        tls=tls_context(settings),
        verifies_tcp=settings["log_tls_verify"],
        syslog_socket=settings["syslog_socket"],
        entries_max=settings["log_queue_entries"],
        bytes_max=settings["log_queue_bytes"] or None,
        threads_max=settings["log_queue_threads"],
    )


def tls_context(settings: NodeSettings) -> ssl.SSLContext:
    """Trust of log plugins that deliver over TLS."""
    places = settings["lua_ssl_trusted_certificate"] or ()
    context = ssl.create_default_context() if "system" in places else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for place in places:
        if place != "system":
            context.load_verify_locations(place)
    return context
