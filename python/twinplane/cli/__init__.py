"""The composition root: the `twinplane` program, its roles, their start and stop."""

from twinplane.cli.program import main

__all__ = ["main"]
