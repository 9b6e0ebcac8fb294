"""Recorded cases of the proxy: read from the folder of recordings, with their placeholders filled in or turned into
patterns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).resolve().parents[4] / "shared" / "vectors"

# What nodes have behaviour for; cases with others wait for it.
PLUGINS = frozenset(
    {
        "key-auth",
        "basic-auth",
        "jwt",
        "hmac-auth",
        "ip-restriction",
        "bot-detection",
        "redirect",
        "request-size-limiting",
        "acl",
        "rate-limiting",
        "cors",
        "request-transformer",
        "request-termination",
        "correlation-id",
        "http-log",
        "file-log",
        "tcp-log",
        "udp-log",
        "syslog",
        "response-transformer",
        "response-ratelimiting",
        "proxy-cache",
        "prometheus",
    }
)
CORE_GROUPS = frozenset(
    {
        "precedence",
        "order",
        "headers",
        "path",
        "bodies",
        "methods",
        "upgrade",
        "errors",
        "upstream-errors",
        "gateway-errors",
        "retries",
        "malformed",
        "http2",
    }
)

_PATTERNS = {
    "request-id": r"[0-9a-f]{32}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}",
    "date": r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT",
    "ms": r"-?\d+",
    "us": r"\d+",
    "ns": r"\d+",
    "s": r"\d+",
    "seconds": r"\d+",
    "n": r"\d+(?:\.\d+)?(?:e[+-]\d+)?",
    "tracker": r"[0-9a-f.:]+-\d+-\d+-\d+-\d+-\d+\.\d{3}",
    "file-log-path": r"\S+",
    "cookie": r"\S+",
    "session-id": r"\S+",
}
_PLACEHOLDER = re.compile(r"<([a-z0-9-]+)>")


@dataclass(frozen=True)
class Case:
    """One recorded case."""

    id: str
    group: str
    note: str
    node: Mapping[str, str]
    config: Mapping[str, Any]
    refusal: Mapping[str, Any] | None
    steps: tuple[Mapping[str, Any], ...]

    @property
    def any_target(self) -> bool:
        """Whether it is left open which of several targets is tried first."""
        return "several targets" in self.note


@dataclass(frozen=True)
class Binding:
    """The ports of this run, by the name of their placeholder."""

    ports: Mapping[str, int]
    server: str

    def fill(self, value: Any) -> Any:
        """A value with real ports in place of their names."""
        if isinstance(value, Mapping):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if not isinstance(value, str):
            return value
        whole = _PLACEHOLDER.fullmatch(value)
        if whole is not None and whole[1] in self.ports:
            return self.ports[whole[1]]
        return _PLACEHOLDER.sub(lambda found: str(self.ports.get(found[1], found[0])), value)

    def pattern(self, text: str, *, any_target: bool = False) -> str:
        """A regular expression for what a recorded text stands for. The product's own token is this node's."""
        text = text.replace("kong/3.9.3", self.server)
        pieces = []
        end = 0
        for found in _PLACEHOLDER.finditer(text):
            name = found[1]
            if name in self.ports:
                is_target = any_target and name.startswith("echo")
                pattern = r"\d+" if is_target else str(self.ports[name])
            elif name in _PATTERNS:
                pattern = _PATTERNS[name]
            else:
                continue
            pieces += [re.escape(text[end : found.start()]), pattern]
            end = found.end()
        return "".join([*pieces, re.escape(text[end:])])

    def matches(self, recorded: str, actual: str, *, any_target: bool = False) -> bool:
        """Whether a text is what was recorded."""
        return re.fullmatch(self.pattern(recorded, any_target=any_target), actual, re.DOTALL) is not None


def cases(*, groups: frozenset[str] | None = None) -> Iterator[Case]:
    """The cases in scope: of the plugins that have behaviour, and of the core as far as it uses only those."""
    for name in ("plugins", "core"):
        for line in (RECORDINGS / "plugins" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            wanted = groups or (PLUGINS | CORE_GROUPS)
            if row["plugin"] not in wanted or not _plugins(row["config"]) <= PLUGINS | {"nope"}:
                continue
            yield Case(
                id=row["id"],
                group=row["plugin"],
                note=row.get("note", ""),
                node=row.get("node", {}),
                config=row["config"],
                refusal=row.get("config_refused"),
                steps=tuple(row["steps"]),
            )


def _plugins(config: Any) -> set[str]:
    found: set[str] = set()
    if isinstance(config, Mapping):
        for key, value in config.items():
            if key == "plugins" and isinstance(value, list):
                found |= {plugin["name"] for plugin in value if "name" in plugin}
            found |= _plugins(value)
    elif isinstance(config, list):
        for item in config:
            found |= _plugins(item)
    return found
