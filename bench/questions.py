"""All questions by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bench.effort import Effort


@dataclass(frozen=True, slots=True)
class Question:
    """One question: the module that answers it, by which function, and what it is given."""

    module: str
    function: str = "run"
    is_about_requests: bool = False
    takes_effort: bool = False

    @property
    def says(self) -> str:
        """The question in words, as its module puts it."""
        return (importlib.import_module(f"bench.{self.module}").__doc__ or "").splitlines()[0]

    def ask(self, directory: Path, effort: Effort) -> list[str]:
        """The rows of a Markdown table."""
        found = getattr(importlib.import_module(f"bench.{self.module}"), self.function)
        if self.is_about_requests or self.takes_effort:
            return cast("Callable[[Path, Effort], list[str]]", found)(directory, effort)
        return cast("Callable[[Path], list[str]]", found)(directory)


QUESTIONS = {
    "proxying": Question("proxying", is_about_requests=True),
    "protocols": Question("protocols", is_about_requests=True),
    "bodies": Question("bodies", is_about_requests=True),
    "plugins": Question("plugins", is_about_requests=True),
    "python-plugins": Question("python_plugins", is_about_requests=True),
    "routes": Question("routes", is_about_requests=True),
    "consumers": Question("consumers", is_about_requests=True),
    "latency": Question("latency", is_about_requests=True),
    "swaps": Question("swaps", is_about_requests=True),
    "idle": Question("idle", is_about_requests=True),
    "instructions": Question("instructions", takes_effort=True),
    "matching": Question("matching"),
    "propagation": Question("propagation"),
    "deltas": Question("deltas"),
    "storing": Question("storing"),
    "pages": Question("pages"),
    "fleet": Question("fleet"),
    "sizes": Question("fleet", "run_sizes"),
    "restarting": Question("restarting"),
}


def chosen(names: Sequence[str]) -> list[str]:
    """The questions that are meant. Raises ValueError with every name that is none."""
    unknown = [name for name in names if name != "all" and name not in QUESTIONS]
    if unknown:
        raise ValueError(f"no such question: {', '.join(unknown)}; there are all, {', '.join(QUESTIONS)}")
    if "all" in names:
        return [name for name, question in QUESTIONS.items() if question.is_about_requests or name in names]
    return list(dict.fromkeys(names)) or list(QUESTIONS)
