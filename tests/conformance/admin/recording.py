"""Recorded cases of a real Admin API: reading them, filling their requests, comparing answers.

The rules are those of the recordings' own README; nothing here knows what twinplane does.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import yaml

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "admin"
USUAL_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Credentials": "true",
    "Content-Type": "application/json; charset=utf-8",
}
_RECORDED_HEADERS = {
    "content-type",
    "allow",
    "location",
    "deprecation",
    "warning",
    "retry-after",
    "www-authenticate",
    "vary",
    "content-encoding",
    "connection",
}
_CLOCK_SLACK_S = 300
_NAME = re.compile(r"\$([A-Za-z_][A-Za-z_0-9]*)")
_MULTISETS = {"flattened_errors", "errors", "enabled_plugins"}
# Texts of foreign libraries: only what stands before these words is compared.
_LIBRARY_TEXT = re.compile(r":asn1 encoding routines:|DECODER routines|PEM routines|\$lua_path|table: \$any|table: 0x")


def cases(file: str = "admin.jsonl") -> Iterator[dict[str, Any]]:
    """Every recorded case of a file."""
    with (FOLDER / file).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def fixtures() -> dict[str, str]:
    """The certificates and keys that recorded requests name."""
    return json.loads((FOLDER / "fixtures.json").read_text(encoding="utf-8"))


@dataclass
class Binding:
    """What the placeholders of one case stand for."""

    fixtures: Mapping[str, str]
    names: dict[str, Any] = field(default_factory=dict)
    volatile: frozenset[str] = frozenset()

    def fill(self, value: Any) -> Any:
        """A recorded request value with its placeholders replaced."""
        if isinstance(value, str):
            whole = _NAME.fullmatch(value)
            if whole and self._known(whole[1]):
                return self._value(whole[1])
            return _NAME.sub(lambda m: str(self._value(m[1])) if self._known(m[1]) else m[0], value)
        if isinstance(value, dict):
            return {self.fill(key): self.fill(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner) for inner in value]
        return value

    def fill_path(self, path: str) -> str:
        """A recorded path; what is put in is percent-encoded."""
        return _NAME.sub(lambda m: quote(str(self._value(m[1])), safe="") if self._known(m[1]) else m[0], path)

    def _known(self, name: str) -> bool:
        return name in self.names or name in self.fixtures

    def _value(self, name: str) -> Any:
        return self.names[name] if name in self.names else self.fixtures[name]

    def difference(self, want: Any, got: Any, *, unordered: bool = False, path: str = "") -> str | None:
        """The first place where an answer is not as recorded, in words; None where it is."""
        if isinstance(want, str):
            return self._text_difference(want, got, path)
        if isinstance(want, dict):
            return self._record_difference(want, got, unordered, path)
        if isinstance(want, list):
            return self._list_difference(want, got, unordered, path)
        if isinstance(want, bool) or isinstance(got, bool) or want is None or got is None:
            return None if want is got else _differs(path, want, got)
        return None if want == got else _differs(path, want, got)

    def _record_difference(self, want: dict[str, Any], got: Any, unordered: bool, path: str) -> str | None:
        if set(want) == {"$yaml"}:
            return self.difference(want["$yaml"], yaml.safe_load(got), unordered=unordered, path=path)
        if not isinstance(got, dict):
            return _differs(path, want, got)
        want = self._with_keys_bound(want, got)
        if want.keys() != got.keys():
            missing, extra = sorted(want.keys() - got.keys()), sorted(got.keys() - want.keys())
            return f"{path}: missing {missing}, extra {extra}; got {_short(got)}"
        for key, inner in want.items():
            if key in self.volatile:
                continue
            loose = unordered or key in _MULTISETS
            found = self.difference(inner, got[key], unordered=loose, path=f"{path}.{key}")
            if found:
                return found
        return None

    def _with_keys_bound(self, want: dict[str, Any], got: dict[str, Any]) -> dict[str, Any]:
        """A recorded record with the keys that are placeholders replaced by those of the entities they stand for."""
        bound = {self.names.get(key[1:], key) if key.startswith("$") else key: inner for key, inner in want.items()}
        for key in [key for key in bound if key.startswith("$uuid")]:
            for candidate in [name for name in got if name not in bound]:
                before = dict(self.names)
                self.names[key[1:]] = candidate
                if self.difference(bound[key], got[candidate], unordered=True) is None:
                    bound[candidate] = bound.pop(key)
                    break
                self.names = before
        return bound

    def _list_difference(self, want: list[Any], got: Any, unordered: bool, path: str) -> str | None:
        if not isinstance(got, list) or len(want) != len(got):
            return _differs(path, want, got)
        rest = list(got)
        for index, inner in enumerate(want):
            if not unordered:
                found = self.difference(inner, rest[index], path=f"{path}[{index}]")
                if found:
                    return found
                continue
            for candidate in rest:
                before = dict(self.names)
                if self.difference(inner, candidate, unordered=True) is None:
                    rest.remove(candidate)
                    break
                self.names = before
            else:
                return _differs(f"{path}[{index}]", inner, rest)
        return None

    def _text_difference(self, want: str, got: Any, path: str) -> str | None:
        free = _free(want)
        if free is not None:
            return None if free(got) else _differs(path, want, got)
        if not isinstance(got, str):
            return _differs(path, want, got)
        library = _LIBRARY_TEXT.search(want)
        if library:
            head = want[: library.start()]
            head = head[: head.rfind(" ") + 1] if " " in head else head
            return None if got.startswith(head) else _differs(path, want, got)
        if _same_choice(want, got):
            return None
        return self._pattern_difference(want, got, path)

    def _pattern_difference(self, want: str, got: str, path: str) -> str | None:
        if want.startswith("$fx_") and want[1:] in self.fixtures:
            return None if got.strip() == self.fixtures[want[1:]].strip() else _differs(path, want, got)
        pattern, place, binds = "", 0, []
        for match in _NAME.finditer(want):
            name = match[1]
            if name.startswith("fx_"):
                value = self.fixtures.get(name, "").strip()
                pattern += re.escape(want[place : match.start()]) + re.escape(value) + r"\s*"
            elif name in self.names:
                value = str(self.names[name])
                pattern += (
                    re.escape(want[place : match.start()])
                    + f"(?:{re.escape(value)}|{re.escape(quote(value, safe=''))})"
                )
            elif re.fullmatch(r"(uuid|random|offset)_\d+", name):
                pattern += re.escape(want[place : match.start()]) + f"(?P<{name}>.+?)" if name not in binds else ""
                binds.append(name)
            elif name in {"any", "string", "number", "random"}:
                pattern += re.escape(want[place : match.start()]) + ".*?"
            else:
                continue
            place = match.end()
        pattern += re.escape(want[place:])
        found = re.fullmatch(pattern, got, re.DOTALL)
        if not found:
            return _differs(path, want, got)
        for name in binds:
            # Inside a link the value stands percent-encoded.
            value = found[name] if want == f"${name}" else unquote(found[name])
            if name.startswith("random") and not re.fullmatch(r"[A-Za-z0-9]{32}", value):
                return _differs(path, want, got)
            if name.startswith("uuid") and not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value):
                return _differs(path, want, got)
            self.names[name] = value
        return None


def _free(want: str) -> Any:
    near = time.time()
    return {
        "$ts": lambda got: isinstance(got, int) and not isinstance(got, bool) and abs(got - near) < _CLOCK_SLACK_S,
        "$ts_float": lambda got: isinstance(got, int | float) and abs(got - near) < _CLOCK_SLACK_S,
        "$any": lambda got: True,
        "$string": lambda got: isinstance(got, str),
        "$number": lambda got: isinstance(got, int | float) and not isinstance(got, bool),
        "$random": lambda got: isinstance(got, str) and re.fullmatch(r"[A-Za-z0-9]{32}", got) is not None,
    }.get(want)


_CHOICES = re.compile(r"(expected one of: |at least one of these fields must be non-empty: |exactly one of )([^;()]*)")


def _same_choice(want: str, got: str) -> bool:
    # The order of names in such texts depends on the process of the real node.
    if not _CHOICES.search(want):
        return False

    def canonical(text: str) -> str:
        return _CHOICES.sub(lambda m: m[1] + ", ".join(sorted(part.strip() for part in m[2].split(","))), text)

    return canonical(want) == canonical(got)


def _differs(path: str, want: Any, got: Any) -> str:
    return f"{path}: want {_short(want)}, got {_short(got)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 300 else text[:300] + "…"


def compared_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of an answer that recordings hold, by lower-case name."""
    kept = {
        name.lower(): value
        for name, value in headers.items()
        if name.lower() in _RECORDED_HEADERS or name.lower().startswith("access-control-")
    }
    if kept.get("connection") == "keep-alive":
        del kept["connection"]
    return kept
