"""Writes `docs/reference/settings/`: a page for each group of a node's settings, with a section for each setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from twinplane.settings import Setting
from twinplane.settings.directives import IDLE_DIRECTIVES
from twinplane.settings.kong import IN_KONG
from twinplane.settings.node import GROUPS
from twinplane.settings.reloading import RELOADED

FOLDER = "docs/reference/settings"
_HEAD = "<!-- Generated from python/twinplane/settings by `make generate`; do not edit. -->"


def place(setting: Setting) -> str:
    """Where a setting is written about, below `docs/reference`."""
    group = next(title for title, table in GROUPS.items() if setting in table)
    return f"settings/{_slug(group)}.md#{setting.name}"


def files() -> dict[str, str]:
    """Every page, by its path."""
    return {f"{FOLDER}/{_slug(title)}.md": _page(title, table) for title, table in GROUPS.items()}


def _slug(title: str) -> str:
    return title.lower().replace(" ", "-")


def _page(title: str, table: tuple[Setting, ...]) -> str:
    lines = [_HEAD, f"# {title}", "", "Settings of a node: a line of `kong.conf`, or a variable, which wins.", ""]
    for setting in table:
        lines += _section(setting)
    if any(setting.name.startswith("nginx_http_") for setting in table):
        lines += _idle_directives()
    return "\n".join(lines)


def _section(setting: Setting) -> Iterator[str]:
    yield from (f"## {setting.name}", "", setting.doc, "", "| | |", "|---|---|")
    for name, text in _facts(setting).items():
        yield f"| {name} | {text} |"
    yield ""


def _facts(setting: Setting) -> Mapping[str, str]:
    facts = {
        "value": setting.kind.name.replace("|", " \\| "),
        "default": f"`{setting.default}`" if setting.default else "none",
        "variable": f"`KONG_{setting.name.upper()}`",
        "also given as": ", ".join(f"`{alias}`" for alias in setting.aliases),
        "at SIGHUP": "taken into use" if setting.name in RELOADED else "needs a restart",
        "Kong": IN_KONG.get(setting.name, ""),
    }
    if not setting.acted_on:
        facts["at SIGHUP"] = ""
        facts["effect"] = "none: accepted, and warned of once"
    if setting.secret:
        facts["secret"] = "shown to nobody; `{vault://env/…}` may stand in its place"
    return {name: text for name, text in facts.items() if text}


def _idle_directives() -> Iterator[str]:
    yield from (
        "## Directives that change nothing",
        "",
        "Injected into any block, they are accepted and warned of. Directives that stand nowhere on this page are not",
        "obeyed: each is warned of by name, and refused with `strict_conf = on`.",
        "",
        "| directive | why |",
        "|---|---|",
    )
    for name, why in sorted(IDLE_DIRECTIVES.items()):
        yield f"| `{name}` | {why} |"
    yield "| `lua_…` | No Lua is run. |"
    yield ""
