"""`python -m tools.generate [--dry]`: write every generated file, or fail where one differs from its source."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.generate import (
    bundled,
    compatibility,
    model,
    network,
    parity,
    plugin_configs,
    reference,
    setting_pages,
    settings,
)

ROOT = Path(__file__).resolve().parents[2]
# Folders that hold nothing but generated files.
OWNED = ("docs/reference/entities", "docs/reference/plugins", "docs/reference/settings")


def main() -> int:
    """Write, or compare."""
    wanted = {page.PAGE: page.page() for page in (bundled, compatibility, model, network, parity, settings)}
    wanted |= plugin_configs.files() | reference.files() | setting_pages.files()
    stray = [
        path
        for folder in OWNED
        for path in sorted((ROOT / folder).glob("*"))
        if str(path.relative_to(ROOT)) not in wanted
    ]
    differing = [name for name, text in wanted.items() if _read(name) != text]
    if "--dry" in sys.argv[1:]:
        for name in [*differing, *(str(path.relative_to(ROOT)) for path in stray)]:
            print(f"{name}: differs from its source; run make generate", file=sys.stderr)
        return 1 if differing or stray else 0
    for name in differing:
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[name], encoding="utf-8")
    for path in stray:
        path.unlink()
    print(f"generate: {len(differing)} written, {len(stray)} removed, {len(wanted) - len(differing)} as they were")
    return 0


def _read(name: str) -> str | None:
    path = ROOT / name
    return path.read_text(encoding="utf-8") if path.exists() else None


raise SystemExit(main())
