"""Writes `docs/reference/settings.md` from the tables that processes read their settings by."""

from __future__ import annotations

from collections.abc import Sequence

from tools.generate.setting_pages import place

from twinplane.settings import CONTROL_PLANE, NODE, UP, Setting
from twinplane.settings.join import JOIN

PAGE = "docs/reference/settings.md"


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            "<!-- Generated from python/twinplane/settings by `make generate`; do not edit. -->",
            "# Settings",
            "",
            "Wrong values are refused, all of them at once, before any port is opened.",
            "",
            "## `twinplane up`",
            "",
            "Options of the command line; `--proxy-port` is also `TWINPLANE_PROXY_PORT`.",
            "",
            *_table(UP, "--"),
            "",
            "## `twinplane control-plane`",
            "",
            *_table([each for each in CONTROL_PLANE if each.name != "parent-fd"], "--"),
            "",
            "## `twinplane join`",
            "",
            *_table(JOIN, "--"),
            "",
            "## `twinplane data-plane` (`kong.conf`)",
            "",
            "Lines of the form `name = value`; `proxy_listen` is also `KONG_PROXY_LISTEN`, which wins.",
            "",
            "Each has a section with its variable, its other names, and what a SIGHUP does about it.",
            "",
            *_table([each for each in NODE if each.acted_on], "", is_linked=True),
            "",
            "### Accepted and without effect",
            "",
            "So that files written for Kong load unchanged. Each is warned about once. Names in no table are ignored",
            "with a warning, or refused with `strict_conf = on`.",
            "",
            "| name | why |",
            "|---|---|",
            *(f"| [`{each.name}`]({place(each)}) | {each.doc} |" for each in NODE if not each.acted_on),
            "",
        ]
    )


def _table(settings: Sequence[Setting], prefix: str, *, is_linked: bool = False) -> list[str]:
    rows = ["| name | value | default | meaning |", "|---|---|---|---|"]
    for setting in settings:
        name = f"[`{setting.name}`]({place(setting)})" if is_linked else f"`{prefix}{setting.name}`"
        kind = setting.kind.name.replace("|", " \\| ")
        rows.append(f"| {name} | {kind} | {_code(setting.default)} | {setting.doc}{_aliases(setting)} |")
    return rows


def _aliases(setting: Setting) -> str:
    return f" Also {', '.join(f'`{alias}`' for alias in setting.aliases)}." if setting.aliases else ""


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
