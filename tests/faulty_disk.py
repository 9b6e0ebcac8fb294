"""Calls of `os` on files, counted, of which one or all after one can be made to fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

CALLS = ("open", "read", "pread", "write", "pwrite", "fsync", "link", "replace", "rename", "unlink", "stat", "close")
READS = ("read", "pread", "stat")


class FaultyDisk:
    """The calls of `CALLS`, for as long as a patch holds."""

    def __init__(
        self, patch: pytest.MonkeyPatch, *, fails: Callable[[int], BaseException | None], reads_fail: bool = True
    ) -> None:
        """`fails` is asked at each call, by its number from 0 on, what it is to raise."""
        self.calls = 0
        self._fails = fails
        for name in CALLS if reads_fail else [name for name in CALLS if name not in READS]:
            patch.setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            failure = self._fails(self.calls)
            self.calls += 1
            if failure is None:
                return original(*arguments, **options)
            if name == "close":
                # A failed close has closed all the same.
                original(*arguments, **options)
            raise failure

        return call


def disk_full(number: int, *, from_then_on: bool = False) -> Callable[[int], BaseException | None]:
    """The call of that number fails, and with `from_then_on` all after it."""

    def fails(call: int) -> BaseException | None:
        is_it = call >= number if from_then_on else call == number
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if is_it else None

    return fails
