"""Listen directives of `kong.conf`: `0.0.0.0:8443 http2 ssl reuseport backlog=16384, …`. Pure.

Everything that is wrong with a directive is told at once, and so is what two directives dispute.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from twinplane.settings.setting import Kind

_FLAGS = frozenset({"ssl", "http2", "proxy_protocol", "deferred", "bind", "reuseport"})
_STREAM_FLAGS = frozenset({"ssl", "udp", "proxy_protocol", "bind", "reuseport"})
_NOT_WITH_UDP = ("ssl", "proxy_protocol", "backlog", "so_keepalive")
_USAGE = (
    "off or address:port [ssl] [http2] [proxy_protocol] [deferred] [bind] [reuseport] [backlog=N] [ipv6only=on|off] \
[so_keepalive=on|off|idle:interval:count]"
)
_STREAM_USAGE = "off or address:port [ssl] [udp] [proxy_protocol] [bind] [reuseport] [backlog=N] [ipv6only=on|off] \
[so_keepalive=on|off|idle:interval:count]"
_BACKLOG = 16384
_BACKLOG_MAX = 2**31 - 1
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,62})?(\.[A-Za-z0-9-]{1,63})*")
_TIME = re.compile(r"(\d{1,6})([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
# What Linux takes.
_KEEPALIVE_SECONDS_MAX = 32_767
_KEEPALIVE_PROBES_MAX = 127


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Keepalive probes of connections; None is what the system has."""

    idle_s: int | None = None
    interval_s: int | None = None
    probes: int | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """One address and port to listen on. `flags` are the words that follow it; `address` may be a host name."""

    address: str
    port: int
    flags: frozenset[str] = frozenset()
    backlog: int = _BACKLOG
    ipv6only: bool = True
    keepalive: Keepalive | None = None
    stream: bool = False

    @property
    def udp(self) -> bool:
        return "udp" in self.flags

    @property
    def tls(self) -> bool:
        return "ssl" in self.flags

    @property
    def http2(self) -> bool:
        return "http2" in self.flags

    @property
    def proxy_protocol(self) -> bool:
        return "proxy_protocol" in self.flags

    @property
    def deferred(self) -> bool:
        return "deferred" in self.flags

    @property
    def reuseport(self) -> bool:
        return "reuseport" in self.flags

    @property
    def shown(self) -> str:
        """Address and port as they are written."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def read_listeners(text: str) -> tuple[Listener, ...]:
    """The listeners that a directive names; none for `off`. Raises ValueError with everything that is wrong."""
    return _read(text, is_stream=False)


def read_stream_listeners(text: str) -> tuple[Listener, ...]:
    """The same for listeners that take streams."""
    return _read(text, is_stream=True)


def _read(text: str, *, is_stream: bool) -> tuple[Listener, ...]:
    if text.strip() == "off":
        return ()
    problems: list[str] = []
    entries = [part.split() for part in text.split(",") if part.strip()]
    found = [_read_listener(words, problems, is_stream=is_stream) for words in entries]
    if not entries or ["off"] in entries:
        problems.append(f"expected {_usage(is_stream=is_stream)}; off stands alone")
    listeners = tuple(each for each in found if each is not None)
    problems += overlaps({"": listeners})
    if problems:
        raise ValueError("; ".join(problems))
    return listeners


def overlaps(directives: Mapping[str, Sequence[Listener]]) -> Iterator[str]:
    """Which listeners would want the same port of the same address."""
    placed = [(name, each) for name, listeners in directives.items() for each in listeners]
    for at, (name, one) in enumerate(placed):
        for other_name, other in placed[at + 1 :]:
            if one.port and one.port == other.port and one.udp == other.udp and _covers(one, other):
                where = f" of {name}" if name and name != other_name else ""
                yield f"{other.shown} is taken by {one.shown}{where} already: name each port once, with all its flags"


def _covers(one: Listener, other: Listener) -> bool:
    if one.address == other.address:
        return True
    addresses = [_address(each.address) for each in (one, other)]
    if any(address is None for address in addresses):
        return False
    wild = [address is not None and address.is_unspecified for address in addresses]
    families = {address.version for address in addresses if address is not None}
    if len(families) == 1:
        return any(wild) or addresses[0] == addresses[1]
    # An IPv6 socket may take IPv4 as well, where it listens on every address.
    return any(
        is_wild and address is not None and address.version == 6 and not each.ipv6only
        for is_wild, address, each in zip(wild, addresses, (one, other), strict=True)
    )


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _usage(*, is_stream: bool) -> str:
    return _STREAM_USAGE if is_stream else _USAGE


def _read_listener(words: list[str], problems: list[str], *, is_stream: bool) -> Listener | None:
    where = words[0]
    if where == "off":
        return None
    found: list[str] = []
    address, port = _read_place(where, found, _usage(is_stream=is_stream))
    flags: set[str] = set()
    valued: dict[str, str] = {}
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if is_stream and word == "tls":
            flags.add("ssl")
        elif word in (_STREAM_FLAGS if is_stream else _FLAGS):
            flags.add(word)
        elif word in (*_FLAGS, *_STREAM_FLAGS, "tls"):
            found.append(f"'{word}' is not for streams" if is_stream else f"'{word}' is a flag of stream_listen")
        elif equals and name in ("backlog", "ipv6only", "so_keepalive"):
            if valued.setdefault(name, value) != value:
                found.append(f"{name} is given twice, with different values")
        else:
            found.append(f"unknown flag '{word}'")
    if "udp" in flags:
        found += [f"'{name}' is not for udp" for name in _NOT_WITH_UDP if name in flags or name in valued]
    backlog = _backlog(valued.get("backlog"), found)
    ipv6only = _ipv6only(valued.get("ipv6only"), address, found)
    keepalive = _keepalive(valued.get("so_keepalive"), found)
    problems += [f"{where}: {problem}" for problem in found]
    return None if found else Listener(address, port, frozenset(flags), backlog, ipv6only, keepalive, is_stream)


def _read_place(text: str, problems: list[str], usage: str) -> tuple[str, int]:
    if text.startswith("unix:"):
        problems.append("sockets of the file system are not listened on, as with Kong; expected address:port")
        return "", 0
    address, _, port = text.rpartition(":")
    is_bracketed = address.startswith("[") and address.endswith("]")
    bare = address[1:-1] if is_bracketed else address
    parsed = _address(bare)
    if not address:
        problems.append(f"expected {usage}")
    elif ":" in bare and not is_bracketed:
        problems.append("expected an IPv6 address in brackets, such as [::1]:8000")
    elif "%" in bare:
        problems.append("an address with a zone cannot be listened on")
    elif parsed is None and (is_bracketed or not _NAME.fullmatch(bare) or re.fullmatch(r"[0-9.]+", bare)):
        problems.append(f"'{bare}' is neither an IP address nor a host name; expected address:port")
    if not port.isascii() or not port.isdigit() or int(port[:6]) > 65535:
        problems.append("expected a port from 0 to 65535")
        return bare, 0
    return bare if parsed is None else str(parsed), int(port)


def _backlog(text: str | None, problems: list[str]) -> int:
    if text is None:
        return _BACKLOG
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:11]) <= _BACKLOG_MAX:
        problems.append(f"backlog: expected a whole number from 1, got '{text[:20]}'")
        return _BACKLOG
    return int(text)


def _ipv6only(text: str | None, address: str, problems: list[str]) -> bool:
    if text is None:
        return True
    if text not in ("on", "off"):
        problems.append(f"ipv6only: expected on or off, got '{text[:20]}'")
    elif ":" not in address:
        problems.append("ipv6only is for IPv6 addresses")
    return text != "off"


def _keepalive(text: str | None, problems: list[str]) -> Keepalive | None:
    if text is None or text == "off":
        return None
    if text == "on":
        return Keepalive()
    parts = text.split(":")
    if len(parts) != 3 or not any(parts):
        problems.append(f"so_keepalive: expected on, off or idle:interval:count, got '{text[:40]}'")
        return None
    idle, interval, probes = parts
    count: int | None = None
    if probes:
        count = int(probes) if probes.isascii() and probes.isdigit() and len(probes) < 4 else 0
        if not 1 <= count <= _KEEPALIVE_PROBES_MAX:
            problems.append(f"so_keepalive: expected 1 to {_KEEPALIVE_PROBES_MAX} probes, got '{probes[:20]}'")
    return Keepalive(_seconds(idle, problems), _seconds(interval, problems), count)


def _seconds(text: str, problems: list[str]) -> int | None:
    if not text:
        return None
    found = _TIME.fullmatch(text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 1 <= seconds <= _KEEPALIVE_SECONDS_MAX:
        problems.append(
            f"so_keepalive: expected a time up to {_KEEPALIVE_SECONDS_MAX} s such as 30s or 5m, got '{text[:20]}'"
        )
    return seconds


LISTENERS: Kind[tuple[Listener, ...]] = Kind("listeners", read_listeners)
STREAM_LISTENERS: Kind[tuple[Listener, ...]] = Kind("listeners", read_stream_listeners)


def read_port_maps(text: str) -> tuple[tuple[int, int], ...]:
    """Pairs of a port that clients see and the one that is listened on. Raises ValueError with everything wrong."""
    found: dict[int, int] = {}
    problems = []
    for part in (item.strip() for item in text.split(",")):
        match = re.fullmatch(r"(\d{1,5}):(\d{1,5})", part)
        if match is None or not all(0 < int(port) < 65536 for port in match.groups()):
            problems.append(f"expected seen:listening, such as 443:8443, got '{part[:40]}'")
            continue
        seen, listening = int(match[1]), int(match[2])
        if found.setdefault(listening, seen) != seen:
            problems.append(f"port {listening} is mapped to {found[listening]} and to {seen}")
    if problems:
        raise ValueError("; ".join(problems))
    return tuple((seen, listening) for listening, seen in found.items())


PORT_MAPS: Kind[tuple[tuple[int, int], ...]] = Kind("list of port:port", read_port_maps)
