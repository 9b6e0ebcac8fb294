"""What can go wrong with telemetry on its way."""

from __future__ import annotations


class BatchInvalid(Exception):
    """A batch can never be stored; the node must not send it again. `code` is stable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
