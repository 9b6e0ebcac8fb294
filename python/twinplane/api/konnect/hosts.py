"""What the host of a request asks for: which face, and which region. Any base domain is served.

Clients build these names themselves (`us.api.…`, `global.api.…`), so only the labels in front count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

GLOBAL: Final = "global"

_REGION: Final = r"(?P<region>[a-z]{2,6})"
_API: Final = re.compile(rf"{_REGION}\.api\.")
_OTHERS: Final = (
    ("portal", re.compile(rf"[a-z0-9-]+\.{_REGION}\.portal\.")),
    ("mesh", re.compile(rf"{_REGION}\.mesh\.(sync\.)?")),
    ("ingress controller", re.compile(rf"{_REGION}\.kic\.api\.")),
    ("identity", re.compile(rf"{_REGION}\.identity\.")),
    ("console", re.compile(r"cloud\.")),
    ("data plane link", re.compile(rf"[a-z0-9-]+\.{_REGION}\.(cp0|cp|tp0|tp)\.")),
)


@dataclass(frozen=True, slots=True)
class AskedHost:
    """`service` is None for the API itself; `region` is None where the host does not tell."""

    service: str | None
    region: str | None


def read_host(host: str) -> AskedHost:
    """What a Host field asks for."""
    name = host.rsplit(":", 1)[0].lower()
    for service, pattern in _OTHERS:
        found = pattern.match(name)
        if found:
            return AskedHost(service, found.groupdict().get("region"))
    found = _API.match(name)
    return AskedHost(None, found["region"] if found else None)
