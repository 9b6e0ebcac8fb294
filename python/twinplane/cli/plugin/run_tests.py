"""`twinplane plugin test`: the tests of a plugin's folder, with the folder's code on the path."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from twinplane.cli.errors import StartError
from twinplane.cli.plugin.folder import PluginFolder


def run(directory: Path, words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run pytest there; its exit status. Raises StartError."""
    folder = PluginFolder(directory)
    if importlib.util.find_spec("pytest") is None:
        raise StartError("pytest is not installed: pip install pytest")
    before = [each for each in environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    places = [str(folder.path), str(folder.path / "src"), *(str(Path(each).absolute()) for each in before)]
    given = [word for word in words if word != "--"]
    command = [sys.executable, "-m", "pytest", *given]
    return subprocess.call(  # noqa: S603 - the user's own words
        command, cwd=folder.path, env={**environ, "PYTHONPATH": os.pathsep.join(places)}
    )
