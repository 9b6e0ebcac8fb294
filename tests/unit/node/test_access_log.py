"""The access log through files and pipes of the kernel: nothing that is read slowly, or not at all, holds it up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from twinplane.node.access_log import AccessLog
from twinplane.node.conditions import Conditions


class Writing:
    """A log, and the lines that the core would hold for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = b""
        self.conditions = Conditions()
        self.log = AccessLog(self._drain, path, self.conditions)

    def _drain(self) -> bytes:
        taken, self.lines = self.lines, b""
        return taken

    def write(self, lines: bytes) -> None:
        self.lines += lines
        self.log.flush()

    @property
    def issues(self) -> list[str]:
        return [issue.code for issue in self.conditions.issues()]


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[Writing]:
    made = Writing(tmp_path / "logs" / "access.log")
    yield made
    made.log.close()


def make_pipe(writing: Writing) -> None:
    writing.path.parent.mkdir()
    os.mkfifo(writing.path)


def read_all(reader: int) -> bytes:
    """What is in a pipe now."""
    parts = []
    try:
        while part := os.read(reader, 65_536):
            parts.append(part)
    except BlockingIOError:
        pass
    return b"".join(parts)


def test_lines_are_appended_and_a_file_may_be_moved_away(writing: Writing) -> None:
    writing.write(b"one\n")
    writing.write(b"two\n")
    assert writing.path.read_bytes() == b"one\ntwo\n"
    writing.path.rename(writing.path.with_suffix(".1"))
    writing.write(b"three\n")
    assert writing.path.read_bytes() == b"three\n"
    assert (writing.issues, writing.log.bytes_lost) == ([], 0)


def test_a_path_that_cannot_be_written_is_a_condition_until_it_can(writing: Writing) -> None:
    writing.path.mkdir(parents=True)
    writing.write(b"one\n")
    assert (writing.issues, writing.log.bytes_lost) == (["access_log_unwritable"], 4)
    (issue,) = writing.conditions.issues()
    assert str(writing.path) in issue.message
    writing.path.rmdir()
    # Without a request, too.
    writing.log.flush()
    assert writing.issues == []
    writing.write(b"two\n")
    assert (writing.path.read_bytes(), writing.log.bytes_lost) == (b"two\n", 4)


def test_lines_wait_for_a_reader_that_is_not_there_yet(writing: Writing) -> None:
    make_pipe(writing)
    writing.write(b"one\n")
    assert (writing.issues, writing.log.bytes_lost) == (["access_log_unwritable"], 0)
    writing.write(b"two\n")
    assert writing.lines == b"two\n", "the core bounds what waits"
    reader = os.open(writing.path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        writing.log.flush()
        writing.log.flush()
        assert read_all(reader) == b"one\ntwo\n"
    finally:
        os.close(reader)
    assert writing.issues == []


def test_a_reader_that_takes_nothing_holds_up_neither_the_node_nor_its_end(writing: Writing) -> None:
    make_pipe(writing)
    reader = os.open(writing.path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        long = b"".join(b"line %06d\n" % number for number in range(100_000))
        writing.write(long)
        writing.log.flush()
        assert writing.issues == ["access_log_unwritable"]
        taken = read_all(reader)
        assert long.startswith(taken)
        while len(taken) < len(long):
            writing.log.flush()
            taken += read_all(reader)
        assert taken == long, "a slow reader gets every line once"
        writing.log.flush()
        assert (writing.issues, writing.log.bytes_lost) == ([], 0)
        writing.write(long)
        writing.log.close()
        assert writing.log.bytes_lost == len(long) - len(read_all(reader))
    finally:
        os.close(reader)


def test_a_reader_that_comes_after_another_begins_with_a_whole_line(writing: Writing) -> None:
    make_pipe(writing)
    reader = os.open(writing.path, os.O_RDONLY | os.O_NONBLOCK)
    long = b"".join(b"line %06d\n" % number for number in range(100_000))
    writing.write(long)
    os.close(reader)
    writing.log.flush()
    reader = os.open(writing.path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        writing.log.flush()
        taken = read_all(reader)
        assert taken.startswith(b"line ")
        assert taken in long
    finally:
        os.close(reader)
