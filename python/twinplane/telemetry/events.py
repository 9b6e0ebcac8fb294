"""What is measured: the fields of a request record and of a usage counter, and what each may hold.

The core writes the fields in this order. No field holds a body, a header value, a query string or a credential.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

NUMBER_MAX = 2**53
PATH_MAX = 8192
FUTURE_S_MAX = 300
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_REQUEST_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
# No question mark: what follows one is a query string. No control character: lines cannot be forged.
_PATH = re.compile(rf"[^\x00-\x1f\x7f?]{{1,{PATH_MAX}}}")
_HOST = re.compile(r"[0-9A-Za-z_.:\[\]-]{1,255}")

Check = Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name and what it may hold."""

    name: str
    check: Check
    is_optional: bool = False

    def holds(self, value: object) -> bool:
        """Whether the field may hold `value`."""
        return self.is_optional if value is None else self.check(value)


def _text(form: re.Pattern[str]) -> Check:
    return lambda value: isinstance(value, str) and form.fullmatch(value) is not None


def _one_of(*values: str) -> Check:
    return lambda value: value in values if isinstance(value, str) else False


def _whole(most: int) -> Check:
    return lambda value: type(value) is int and 0 <= value <= most


_an_id, _a_number, _a_status = _text(_ID), _whole(NUMBER_MAX), _whole(999)

RECORD: Sequence[Field] = (
    Field("request_start_us", _a_number),
    Field("request_id", _text(_REQUEST_ID)),
    Field("service_id", _an_id, is_optional=True),
    Field("route_id", _an_id, is_optional=True),
    Field("consumer_id", _an_id, is_optional=True),
    Field("credential_id", _an_id, is_optional=True),
    Field("application_id", _an_id, is_optional=True),
    Field("method", _text(_METHOD)),
    Field("path", _text(_PATH)),
    Field("host", _text(_HOST), is_optional=True),
    Field("protocol", _one_of("http", "https", "grpc", "grpcs", "ws", "wss", "tcp", "tls", "tls_passthrough", "udp")),
    Field("http_version", _one_of("1.0", "1.1", "2", "3"), is_optional=True),
    Field("status", _a_status),
    Field("upstream_status", _a_status, is_optional=True),
    Field("response_source", _one_of("kong", "upstream", "client_closed")),
    Field("latency_kong_us", _a_number),
    Field("latency_upstream_us", _a_number, is_optional=True),
    Field("latency_total_us", _a_number),
    Field("request_bytes", _a_number),
    Field("response_bytes", _a_number),
    Field("tries", _whole(1000)),
)
"""One request or stream, also one that was refused or matched no route; a stream has no version of HTTP."""

USAGE: Sequence[Field] = (
    Field("minute", _a_number),
    Field("service_id", _an_id, is_optional=True),
    Field("route_id", _an_id, is_optional=True),
    Field("consumer_id", _an_id, is_optional=True),
    Field("application_id", _an_id, is_optional=True),
    Field("status", _a_status),
    Field("requests", _a_number),
    Field("request_bytes", _a_number),
    Field("response_bytes", _a_number),
)
"""What was used in one minute: differences, for metering."""
