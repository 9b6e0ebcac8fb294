"""What a host name asks for: which kind of host, which region, which object. Read from the table in `network`; pure.

Case, a final dot and a port do not matter. A name under no base domain of ours is either a bare address, which says
nothing, or unknown.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twinplane.settings.network import GLOBAL, HOSTS, HostKind

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_REGION = "[a-z]{2,6}"


@dataclass(frozen=True, slots=True)
class FoundHost:
    """A host name that was read. `kind` is None for a bare address; `region` and `prefix` are empty where not told."""

    kind: HostKind | None
    region: str = ""
    prefix: str = ""


BARE = FoundHost(None)


class HostNames:
    """The host names of one installation."""

    def __init__(self, domains: Sequence[str], *, bare: Iterable[str] = ()) -> None:
        """`domains` are base domains; `bare` are more names that count as a bare address."""
        self._domains = frozenset(domain.lower() for domain in domains)
        self._bare = frozenset(name.lower() for name in bare)
        self._patterns = [
            (kind, pattern)
            for domain in self._domains
            for kind in HOSTS
            for pattern in (_pattern(template, domain) for template in kind.templates)
        ]

    def read(self, host: str) -> FoundHost | None:
        """What a `Host` field or a server name asks for; None for a name that is nobody's here."""
        name = bare_name(host)
        for kind, pattern in self._patterns:
            found = pattern.fullmatch(name)
            if found is not None:
                parts = found.groupdict()
                region = parts.get("region") or (GLOBAL if not kind.is_regional else "")
                return FoundHost(kind, region, parts.get("prefix") or "")
        return BARE if self._is_bare(name) else None

    def _is_bare(self, name: str) -> bool:
        # A name of one label is a machine or a container on the same network.
        return "." not in name or name in self._domains or name in self._bare or _is_address(name)


def bare_name(host: str) -> str:
    """A host without port, brackets and final dot, in lower case."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    if name.count(":") == 1:
        name = name.partition(":")[0]
    return name.removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _pattern(template: str, domain: str) -> re.Pattern[str]:
    text = re.escape(template).replace(re.escape("{domain}"), re.escape(domain))
    text = text.replace(re.escape("{region}"), f"(?P<region>{_REGION})")
    return re.compile(text.replace(re.escape("{prefix}"), f"(?P<prefix>{_LABEL})"))
