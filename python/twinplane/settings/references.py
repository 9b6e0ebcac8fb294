"""References to secrets, `{vault://env/my-secret}`: what they lead to in an environment. Pure.

Configurations and `kong.conf` alike are full of them; the secrets themselves are never shown in an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from twinplane.settings.setting import Mistake

START = "{vault://"
ENV = "env"


class UnresolvedReference(LookupError):
    """A reference that leads to no secret; its text says why, and never shows a secret."""


def is_reference(value: object) -> bool:
    """Whether a value is a reference rather than the thing itself."""
    return isinstance(value, str) and value.startswith(START) and value.endswith("}")


def secret(reference: str, environ: Mapping[str, str], prefixes: Mapping[str, str]) -> str:
    """What a reference leads to; `prefixes` are those of variables, by the vault's name. Raises UnresolvedReference."""
    parts = urlsplit(reference[1:-1])
    resource, _, key = parts.path.strip("/").partition("/")
    if parts.netloc not in prefixes or not resource:
        raise UnresolvedReference("names no vault of this node")
    given = parse_qs(parts.query).get("prefix", [prefixes[parts.netloc]])[0]
    name = f"{given}{resource}".replace("-", "_").upper()
    value = environ.get(name)
    if value is None:
        raise UnresolvedReference(f"leads nowhere: the variable {name} is not set")
    return _member(value, key, name) if key else value


def _member(value: str, key: str, name: str) -> str:
    try:
        members = json.loads(value)
    except ValueError as error:
        raise UnresolvedReference(f"asks for a member, and the variable {name} holds no JSON") from error
    found = members.get(key) if isinstance(members, dict) else None
    if not isinstance(found, str):
        raise UnresolvedReference(f"asks for a member that the variable {name} does not hold as text")
    return found


def resolved_references(
    given: Mapping[str, tuple[str, str]], environ: Mapping[str, str], mistakes: list[Mistake]
) -> dict[str, tuple[str, str]]:
    """What was given, with secrets in place of references; what leads nowhere is added to `mistakes`."""
    vaults = [word.strip() for word in given.get("vaults", ("bundled", ""))[0].split(",")]
    prefix = given.get("vault_env_prefix", ("", ""))[0]
    prefixes = {ENV: prefix} if {"bundled", ENV} & set(vaults) else {}
    found: dict[str, tuple[str, str]] = {}
    for name, (text, place) in given.items():
        found[name] = (text, place)
        if is_reference(text):
            try:
                found[name] = (secret(text, environ, prefixes), place)
            except UnresolvedReference as error:
                mistakes.append(Mistake(place, name, f"{text} {error}"))
                found[name] = ("", place)
    return found
