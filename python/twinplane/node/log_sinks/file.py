"""A file that entries are appended to, one a line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twinplane.node.log_queue import QueueLimits
from twinplane.node.log_sinks.sink import Surroundings

_BATCH_SIZE = 1000
# A FIFO nobody reads and a terminal that is stopped are errors to be tried again, not a wait without end.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
_MODE = 0o644


@dataclass(frozen=True, slots=True)
class FileSink:
    """Where one `file-log` plugin writes."""

    path: str
    reopen: bool = False
    limits: QueueLimits = field(default_factory=QueueLimits)

    def delivery(self) -> FileDelivery:
        """What writes to the file."""
        return FileDelivery(self)


def file_sink(config: Mapping[str, Any], surroundings: Surroundings) -> FileSink:
    """The sink that the configuration of a `file-log` plugin describes."""
    return FileSink(config["path"], bool(config.get("reopen")), surroundings.plain_limits(_BATCH_SIZE))


class FileDelivery:
    """Appends batches to a file. A batch that was written in part goes on where it stopped."""

    def __init__(self, sink: FileSink) -> None:
        self._sink = sink
        self._file: int | None = None
        self._batch: list[bytes] | None = None
        self._rest = memoryview(b"")
        self._is_torn = False

    def __call__(self, batch: list[bytes]) -> int:
        """Write a batch. Raises OSError where not all of it could be written."""
        if batch is not self._batch:
            # A line that a batch before had to leave unfinished ends here.
            start = b"\n" if self._is_torn else b""
            self._batch, self._rest = batch, memoryview(start + b"\n".join(batch) + b"\n")
        if self._sink.reopen:
            self.close()
        try:
            while self._rest:
                written = os.write(self._opened(), self._rest)
                if written:
                    self._is_torn = self._rest[written - 1] != ord("\n")
                self._rest = self._rest[written:]
        except OSError:
            # Its folder may be another one the next time, or its disk.
            self.close()
            raise
        self._batch = None
        return len(batch)

    def close(self) -> None:
        """Close the file; the next batch opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        if self._file is None:
            self._file = os.open(self._sink.path, _FLAGS, _MODE)
        return self._file
