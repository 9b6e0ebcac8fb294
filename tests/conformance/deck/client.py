"""The real decK: built once from this folder's module into the user's cache, driven as a process."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILD_SECONDS = 1500


def cached_deck() -> Path:
    """The program, built where it is not there yet. Raises where the Go tool cannot build it."""
    digest = hashlib.sha256((HERE / "go.mod").read_bytes() + (HERE / "go.sum").read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twinplane-tests"
    program = cache / f"deck-{digest}"
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = cache / f"deck-{digest}.{os.getpid()}"
        subprocess.run(
            ["go", "build", "-mod=readonly", "-o", str(fresh), "github.com/kong/deck"],
            cwd=HERE,
            env={**os.environ, "CGO_ENABLED": "0", "GONOSUMDB": "github.com/kong/*,github.com/Kong/*"},
            check=True,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
        )
        fresh.replace(program)
    return program


def has_go() -> bool:
    """Whether the Go tool is on the PATH."""
    return shutil.which("go") is not None


class Deck:
    """decK against one address. `options` say which; `environ` adds to the environment."""

    def __init__(self, program: Path, options: list[str], environ: dict[str, str]) -> None:
        self._program, self._options, self._environ = program, options, environ

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """The output of `deck gateway …`, which must end with `status`."""
        kept = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
        done = subprocess.run(
            [str(self._program), "gateway", *arguments, "--analytics=false", *self._options],
            capture_output=True,
            text=True,
            timeout=180,
            env={**kept, **self._environ},
        )
        output = done.stdout + done.stderr
        assert done.returncode == status, f"deck {' '.join(arguments)} ended with {done.returncode}:\n{output}"
        return output
