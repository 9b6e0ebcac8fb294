"""The real decK: built once from this folder's module into the user's cache, driven as a process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.conformance.go_tool import built, has_go

__all__ = ["Deck", "cached_deck", "has_go"]

HERE = Path(__file__).parent


def cached_deck() -> Path:
    """The program, built where it is not there yet. Raises where the Go tool cannot build it."""
    return built(HERE, "github.com/kong/deck", unlisted="github.com/kong/*,github.com/Kong/*")


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
