"""Secrets in the form of a row: they are never shown, and one that is left empty stays as it was. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from twinplane.web.console.entities.inputs import Input
from twinplane.web.console.entities.spelled import AS_JSON

HINT = "Unchanged unless typed"

Texts = Mapping[str, str]


def secrets_of(now: Texts, shown: Texts) -> dict[str, str]:
    """Of a row's texts those that hold a secret. `shown` are the texts of the row without its secrets."""
    return {path: text for path, text in now.items() if shown.get(path) != text}


def covered(typed: Texts, secrets: Texts) -> dict[str, str]:
    """The form's texts without secrets that stand in the row."""
    texts = dict(typed)
    for path, secret in secrets.items():
        if texts.get(path) == secret:
            del texts[path]
            texts[_plain(path)] = ""
    return texts


def kept(typed: Texts, secrets: Texts) -> dict[str, str]:
    """The form's texts with the row's secrets where the form asked for one and nothing was typed."""
    texts = dict(typed)
    for path, secret in secrets.items():
        asked = {path, _plain(path)} & texts.keys()
        if asked and not any(texts[name].strip() for name in asked):
            texts = {name: text for name, text in texts.items() if name not in asked}
            texts[path] = secret
    return texts


def mark(inputs: Iterable[Input], secrets: Texts) -> None:
    """Make the inputs of secrets such that show nothing and say so."""
    lines = {_plain(path): "\n" in secret for path, secret in secrets.items()}
    for one in inputs:
        mark(one.children, secrets)
        path = _plain(one.name)
        if path in lines:
            one.is_secret, one.hint = True, HINT
            if one.kind == "long" and not lines[path]:
                one.kind = "text"


def _plain(path: str) -> str:
    return path.removesuffix(AS_JSON)
