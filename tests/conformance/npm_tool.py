"""Programs and scripts from npm that tests use: installed once from a locked list into the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

INSTALL_SECONDS = 300


def has_npm() -> bool:
    """Whether npm is on the PATH."""
    return shutil.which("npm") is not None


def installed(folder: Path, program: str) -> Path:
    """A program of the packages that `folder` locks."""
    return packages(folder) / ".bin" / program


def packages(folder: Path) -> Path:
    """Where the packages that `folder` locks are."""
    digest = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twinplane-tests"
    place = cache / f"npm-{folder.name}-{digest}"
    if not place.exists():
        fresh = cache / f"npm-{folder.name}-{digest}.{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, fresh)
        subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"],
            cwd=fresh,
            check=True,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
        )
        try:
            fresh.rename(place)
        except OSError:
            # Another test process was faster.
            shutil.rmtree(fresh, ignore_errors=True)
    return place / "node_modules"
