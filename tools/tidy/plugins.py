"""Rules on plugin folders: a declared one has a schema and a page with an example, one with behaviour all six files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tools.tidy.tree import ROOT

FOLDER = Path("python/twinplane/plugins")


def breaches() -> Iterator[str]:
    """Every plugin folder that lacks something."""
    for folder in sorted(path for path in (ROOT / FOLDER).iterdir() if path.is_dir() and path.name != "__pycache__"):
        shown = FOLDER / folder.name
        present = {path.name for path in folder.iterdir()}
        if "schema.py" not in present:
            yield f"{shown}: a plugin folder without schema.py"
        wanted = {"README.md"}
        if present & {"filter.rs", "filter.py"}:
            wanted |= {f"test_{folder.name}.py", "vectors.toml"}
        if "filter.rs" in present:
            wanted.add("config.rs")
        for name in sorted(wanted - present):
            yield f"{shown}: lacks {name}"
        if "README.md" in present:
            text = (folder / "README.md").read_text(encoding="utf-8")
            if "## Parity" not in text:
                yield f"{shown}/README.md: lacks the list '## Parity' (done, todo, exempt with a reason)"
            if "```yaml" not in text:
                yield f"{shown}/README.md: lacks a working example in YAML"
