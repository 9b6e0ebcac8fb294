"""Programs and scripts from npm that tests use: installed once from a locked list into the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

INSTALL_SECONDS = 300


class MissingError(Exception):
    """Packages that cannot be had on this machine: without npm, or without the registry."""


def installed(folder: Path, program: str) -> Path:
    """A program of the packages that `folder` locks. Raises MissingError."""
    return packages(folder) / ".bin" / program


def packages(folder: Path) -> Path:
    """Where the packages that `folder` locks are. Raises MissingError."""
    digest = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twinplane-tests"
    place = cache / f"npm-{folder.name}-{digest}"
    if not place.exists():
        if shutil.which("npm") is None:
            raise MissingError("npm is not installed")
        fresh = cache / f"npm-{folder.name}-{digest}.{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, fresh)
        _install(fresh)
        try:
            fresh.rename(place)
        except OSError:
            # Another test process was faster.
            shutil.rmtree(fresh, ignore_errors=True)
    return place / "node_modules"


def _install(place: Path) -> None:
    command = ["npm", "ci", "--no-audit", "--no-fund"]
    try:
        subprocess.run(command, cwd=place, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.CalledProcessError as error:
        raise MissingError(f"npm ci: {error.stderr.strip()[-300:]}") from error
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"npm ci: not done within {INSTALL_SECONDS} s") from error
