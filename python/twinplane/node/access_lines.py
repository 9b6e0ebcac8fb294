"""Lines of the access log of one of a node's own ports, in the form of the proxy's: made here, waiting for their file.

What a client sent is escaped, so that it can neither end a field nor a line.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections import deque

from twinplane.node.http_request import Head

_ESCAPED = re.compile(r'[^ -~]|["\\]')
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class AccessLines:
    """So many lines as there is room for. Safe for several threads."""

    def __init__(self, lines_max: int) -> None:
        self._lines: deque[bytes] = deque(maxlen=lines_max)
        self._guard = threading.Lock()
        self.lost = 0
        """Lines dropped because too many waited, the oldest first."""

    def add(self, peer: str, head: Head | None, status: int, body_bytes: int) -> None:
        """A request is over; `head` is None where it could not be understood."""
        line = access_line(peer, head, status, body_bytes, now_s=time.time(), request_id=uuid.uuid4().hex)
        with self._guard:
            self.lost += len(self._lines) == self._lines.maxlen
            self._lines.append(line)

    def take(self) -> bytes:
        """All lines that wait."""
        with self._guard:
            taken = b"".join(self._lines)
            self._lines.clear()
        return taken


def access_line(peer: str, head: Head | None, status: int, body_bytes: int, *, now_s: float, request_id: str) -> bytes:
    """One line, as nginx has it as `combined`, with the id of the request behind it."""
    at = time.gmtime(now_s)
    moment = f"{at.tm_mday:02}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year:04}:{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
    headers = head.headers if head is not None else {}
    request = "-" if head is None else f"{head.method} {head.target} {head.version}"
    referer, agent = (_escaped(headers.get(name, "-")) for name in ("referer", "user-agent"))
    text = f'{peer or "-"} - - [{moment} +0000] "{_escaped(request)}" {status} {body_bytes} "{referer}" "{agent}" '
    return f'{text}kong_request_id: "{request_id}"\n'.encode("ascii")


def _escaped(text: str) -> str:
    # Heads are read byte by byte: each letter stands for one.
    return _ESCAPED.sub(lambda found: f"\\x{ord(found[0]):02X}", text)
