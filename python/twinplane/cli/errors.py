"""What keeps a role from starting."""

from __future__ import annotations


class StartError(Exception):
    """The role cannot start. Carries one line for each thing that is wrong."""

    exit_status = 1

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class DirectoryUnusable(StartError):
    """A directory cannot be made, read or written."""


class LicenseRefused(StartError):
    """The licence is over, and the node is not to start."""

    exit_status = 3
