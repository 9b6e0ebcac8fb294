"""The log file of a process: opened anew, and never waited for."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from twinplane.cli.errors import StartError
from twinplane.cli.log_lines import stream_handler
from twinplane.cli.process import log_lines_lost, log_to_file, reopen_logs

log = logging.getLogger("tried")


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.setLevel("INFO")
    yield
    root.handlers[:] = before
    root.setLevel(level)


def told(path: Path) -> list[str]:
    """The lines without their time."""
    return [line.split(" ", 1)[1] for line in path.read_text().splitlines()]


def test_a_log_goes_on_in_a_new_file_when_asked_to(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "error.log"
    log_to_file(path)
    log.info("one")
    moved = path.rename(path.with_suffix(".1"))
    log.info("two\n\ud800")
    assert reopen_logs()
    log.error("three")
    assert told(moved) == ["info tried one", "info tried two\\n\\ud800"]
    assert told(path) == ["error tried three"]


def test_a_file_that_cannot_be_opened_anew_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    log_to_file(path)
    moved = path.rename(path.with_suffix(".1"))
    path.mkdir()
    assert reopen_logs()
    assert "log_not_reopened" in moved.read_text()


def test_a_line_that_cannot_be_shown_is_lost_and_counted_and_told_nowhere_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "error.log"
    log_to_file(path)
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "w") as stream:
        queued = stream_handler(stream)
        logging.getLogger().addHandler(queued)
        log.info("number=%d", "one")
        log.info("two")
        queued.flush()
        assert os.read(reader, 4_096).count(b"\n") == 2
    assert [line.rpartition(" ")[2] for line in told(path)] == ["count=1", "two"]
    assert capfd.readouterr().err == ""


def test_a_pipe_without_reader_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(StartError, match="cannot be written"):
        log_to_file(path)


def test_lines_for_a_pipe_that_is_full_are_lost_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        log_to_file(path)
        for number in range(20_000):
            log.info("number=%06d", number)
        taken = read_all(reader)
        log.info("last")
        after = read_all(reader).decode().splitlines()
    finally:
        os.close(reader)
    whole = taken.decode().splitlines()
    lost = next(line for line in after if "log_lines_lost" in line)
    count = int(lost.rpartition("=")[2])
    assert count > 0
    assert sum("number=" in line for line in whole) + count >= 20_000
    assert after[-1].endswith(" info tried last")


def test_a_stream_that_nobody_reads_holds_up_nobody() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with os.fdopen(writer, "w") as stream:
        logging.getLogger().handlers[:] = [stream_handler(stream)]
        # A pipe holds 64 KiB, and the handler 10,000 lines.
        write = lambda: [log.info("number=%06d", number) for number in range(30_000)]  # noqa: E731
        writing = threading.Thread(target=write, daemon=True)
        writing.start()
        writing.join(60)
        assert not writing.is_alive()
        lost = log_lines_lost()
        assert 0 < lost < 30_000
        text, deadline = b"", time.monotonic() + 60
        while text.count(b"number=") < 30_000 - lost:
            assert time.monotonic() < deadline
            text += read_all(reader)
        log.info("last")
        while not text.endswith(b"last\n"):
            assert time.monotonic() < deadline
            text += read_all(reader)
    os.close(reader)
    lines = text.decode().splitlines()
    numbers = [line for line in lines if "number=" in line]
    assert numbers == sorted(set(numbers))
    assert sum(int(line.rpartition("=")[2]) for line in lines if "log_lines_lost" in line) == lost == log_lines_lost()


def read_all(reader: int) -> bytes:
    parts = []
    with contextlib.suppress(BlockingIOError):
        while part := os.read(reader, 65_536):
            parts.append(part)
    return b"".join(parts)
