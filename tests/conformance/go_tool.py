"""Programs in Go that tests drive: built once from a pinned module into the user's cache, outside the tree."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

BUILD_SECONDS = 1500


def has_go() -> bool:
    """Whether the Go tool is on the PATH."""
    return shutil.which("go") is not None


def built(module: Path, package: str, *, unlisted: str = "") -> Path:
    """The program of a package that `module` pins; `unlisted` are modules that the checksum database does not know."""
    digest = hashlib.sha256((module / "go.mod").read_bytes() + (module / "go.sum").read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twinplane-tests"
    name = package.rpartition("/")[2]
    program = cache / f"{name}-{digest}"
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = cache / f"{name}-{digest}.{os.getpid()}"
        subprocess.run(
            ["go", "build", "-mod=readonly", "-o", str(fresh), package],
            cwd=module,
            env={**os.environ, "CGO_ENABLED": "0", "GONOSUMDB": unlisted},
            check=True,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
        )
        fresh.replace(program)
    return program
