"""What one setting is: its name, how its text is read, its default and its meaning.

A table of settings is data. Files, environment variables, command lines, the reference page and `--help` are read from
it; nothing here opens a file or a port.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import unquote, urlsplit

T = TypeVar("T")
_STDERR = Path("/dev/stderr")
UNUSABLE = "the value is not usable"


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How the text of a setting becomes a value. `read` raises `ValueError` naming what was expected."""

    name: str
    read: Callable[[str], T]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a process.

    `default` is written as a user would write it. `acted_on` is false for names that are accepted so that files written
    for Kong load unchanged, and that change nothing here. `names` are all that it may be given by where its own is not
    the only one, in order: of those that are given the last one counts.
    """

    name: str
    kind: Kind[Any]
    default: str
    doc: str
    since: str = "0.1"
    secret: bool = False
    acted_on: bool = True
    names: tuple[str, ...] = ()

    @property
    def given_by(self) -> tuple[str, ...]:
        """Every name that it may be given by, the one that counts most last."""
        return self.names or (self.name,)

    @property
    def aliases(self) -> tuple[str, ...]:
        """Its names but its own."""
        return tuple(name for name in self.names if name != self.name)


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong with what was given: where it stands, which setting, and what was expected."""

    place: str
    name: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.name}: {self.problem}"


class SettingsError(Exception):
    """The settings cannot be used. Carries every mistake, not the first one."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


def one_of(*words: str) -> Kind[str]:
    """A word out of a fixed list."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"expected one of {', '.join(words)}, got '{text}'")
        return text

    return Kind("|".join(words), read)


def integer(low: int, high: int, *, unit: str = "") -> Kind[int]:
    """A whole number between two bounds, both included."""

    def read(text: str) -> int:
        if not re.fullmatch(r"-?\d+", text) or not low <= int(text) <= high:
            raise ValueError(f"expected a whole number from {low} to {high}{' ' + unit if unit else ''}, got '{text}'")
        return int(text)

    return Kind(f"integer {low}..{high}{' ' + unit if unit else ''}", read)


def number(low: float, high: float, *, unit: str = "") -> Kind[float]:
    """A number between two bounds, both included."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ValueError(f"expected a number from {low:g} to {high:g}{' ' + unit if unit else ''}, got '{text}'")
        return value

    return Kind(f"number {low:g}..{high:g}{' ' + unit if unit else ''}", read)


def _read_switch(text: str) -> bool:
    lowered = text.lower()
    if lowered in {"on", "true"}:
        return True
    if lowered in {"off", "false"}:
        return False
    raise ValueError(f"expected on or off, got '{text}'")


def _read_list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _read_networks(text: str) -> tuple[str, ...]:
    networks = _read_list(text)
    for network in networks:
        if network == "unix:":
            continue
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            raise ValueError(f"'{network}' is neither an IP address nor a CIDR block") from error
    return networks


_SIZE = re.compile(r"(\d+)([kKmMgG]?)")
_SIZE_MAX = 2**63 - 1
_SIZE_DIGITS_MAX = 40
_SIZE_FACTOR = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def _read_size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a size such as 8k, 16m or 0, got '{text}'")
    size = int(match[1]) * _SIZE_FACTOR[match[2].lower()] if len(match[1]) <= _SIZE_DIGITS_MAX else _SIZE_MAX + 1
    if size > _SIZE_MAX:
        raise ValueError(f"expected a size of at most {_SIZE_MAX} bytes, got '{text}'")
    return size


def _read_file_url(text: str) -> Path:
    parts = urlsplit(text)
    if parts.scheme != "file":
        what = f"'{parts.scheme}' is not supported" if parts.scheme else f"got '{text}'"
        raise ValueError(f"expected file:///directory, {what}; storage of another kind can be mounted")
    if parts.netloc not in {"", "localhost"} or len(parts.path) < 2 or parts.query or parts.fragment:
        raise ValueError(f"expected file:///directory, got '{text}'")
    return Path(unquote(parts.path))


def _read_endpoint(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536 or "/" in text:
        raise ValueError(f"expected host:port, got '{text}'")
    return text


def _read_port_or_off(text: str) -> int | None:
    if text == "off":
        return None
    if not text.isdigit() or int(text) > 65535:
        raise ValueError(f"expected a port from 0 to 65535 or off, got '{text}'")
    return int(text)


def _read_listen_or_off(text: str) -> tuple[str, int] | None:
    if text == "off":
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535 or "/" in text:
        raise ValueError(f"expected address:port or off, got '{text}'")
    return host.strip("[]"), int(port)


def _read_domain(text: str) -> str:
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if len(text) > 200 or not re.fullmatch(rf"{label}(\.{label})*", text):
        raise ValueError(f"expected a lower-case domain name, got '{text}'")
    return text


_DURATION_PART = re.compile(r"(\d{1,12})(ms|[smhdw]?)\s*")
_DURATION_MS = {"ms": 1, "": 1000, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def duration(low_ms: int, high_ms: int) -> Kind[int]:
    """A time as nginx writes it (`60`, `60s`, `500ms`, `1m 30s`), in milliseconds."""

    def read(text: str) -> int:
        parts = list(_DURATION_PART.finditer(text))
        if not text or "".join(part[0] for part in parts) != text:
            raise ValueError(f"expected a time such as 60s, 500ms or 1m 30s, got '{text}'")
        total = sum(int(part[1]) * _DURATION_MS[part[2]] for part in parts)
        if not low_ms <= total <= high_ms:
            raise ValueError(f"expected a time from {_shown_ms(low_ms)} to {_shown_ms(high_ms)}, got '{text}'")
        return total

    return Kind(f"time {_shown_ms(low_ms)}..{_shown_ms(high_ms)}", read)


def _shown_ms(ms: int) -> str:
    unit = next((unit for unit in "dhms" if ms and ms % _DURATION_MS[unit] == 0), "ms")
    return f"{ms // _DURATION_MS[unit]}{unit}" if ms else "0"


def sized(low: int, high: int) -> Kind[int]:
    """A size between two bounds, both included."""

    def read(text: str) -> int:
        size = _read_size(text)
        if not low <= size <= high:
            raise ValueError(f"expected a size from {_shown_size(low)} to {_shown_size(high)}, got '{text}'")
        return size

    return Kind(f"size {_shown_size(low)}..{_shown_size(high)}", read)


def _shown_size(size: int) -> str:
    unit = next((unit for unit in "gmk" if size and size % _SIZE_FACTOR[unit] == 0), "")
    return f"{size // _SIZE_FACTOR[unit]}{unit}"


def _read_workers(text: str) -> int | None:
    if text == "auto":
        return None
    return integer(1, 256).read(text)


def _read_log_place(text: str) -> Path | None:
    # A level may follow, as nginx has it; here it is that of the whole process.
    place, *more = text.split()
    if len(more) > 1 or place == "off" or place.startswith("syslog:"):
        raise ValueError(f"expected /dev/stderr or a file, got '{text}'")
    return None if place == "/dev/stderr" else Path(place)


def _read_own_log_place(text: str) -> Path:
    return _read_log_place(text) or _STDERR


def _read_access_place(text: str) -> Path | None:
    place, *formats = text.split()
    if place.startswith("syslog:"):
        raise ValueError("expected off, /dev/stdout or a file; the syslog plugin writes to the system log")
    if formats not in ([], ["combined"], ["kong_log_format"]):
        raise ValueError(f"expected no format of one's own, got '{' '.join(formats)}'")
    return None if place == "off" else Path(place)


def _read_seconds(text: str) -> int:
    return duration(0, 86_400_000).read(text) // 1000


TEXT: Kind[str] = Kind("text", str)
PATH: Kind[Path] = Kind("path", Path)
SWITCH: Kind[bool] = Kind("on|off", _read_switch)
LIST: Kind[tuple[str, ...]] = Kind("list", _read_list)
NETWORKS: Kind[tuple[str, ...]] = Kind("list of addresses", _read_networks)
SIZE: Kind[int] = Kind("size", _read_size)
FILE_URL: Kind[Path] = Kind("file:///directory", _read_file_url)
ENDPOINT: Kind[str] = Kind("host:port", _read_endpoint)
PORT: Kind[int] = integer(0, 65535)
PORT_OR_OFF: Kind[int | None] = Kind("port|off", _read_port_or_off)
LISTEN_OR_OFF: Kind[tuple[str, int] | None] = Kind("address:port|off", _read_listen_or_off)
DOMAIN: Kind[str] = Kind("domain", _read_domain)
LOG_PLACE: Kind[Path | None] = Kind("/dev/stderr or path", _read_log_place)
OWN_LOG_PLACE: Kind[Path] = Kind("/dev/stderr or path", _read_own_log_place)
ACCESS_PLACE: Kind[Path | None] = Kind("off or path", _read_access_place)
SECONDS: Kind[int] = Kind("seconds, or time 0..1d", _read_seconds)
WORKERS: Kind[int | None] = Kind("auto|integer 1..256", _read_workers)


def read_values(
    table: Iterable[Setting],
    given: Mapping[str, tuple[str, str]],
    mistakes: list[Mistake],
    *,
    hidden: Set[str] = frozenset(),
) -> dict[str, Any]:
    """The value of every setting of `table`; `given` maps a name to (text, place it was written in).

    An empty text means the default. What cannot be read is added to `mistakes`, and its default stands in; the texts of
    `hidden` names are not shown there, as those of secrets are not.
    """
    values: dict[str, Any] = {}
    for setting in table:
        text, place = given.get(setting.name, ("", ""))
        if text:
            try:
                values[setting.name] = setting.kind.read(text)
                continue
            except ValueError as error:
                is_shown = not setting.secret and setting.name not in hidden
                problem = str(error) if is_shown else UNUSABLE
                mistakes.append(Mistake(place, setting.name, problem))
        values[setting.name] = setting.kind.read(setting.default) if setting.default else None
    return values
