"""file-log through a real gateway: its vectors, the example of its page, and its promises on real files."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.plugin_cases import Gateway, VectorCase, check_example, delivering, eventually, gateway, play, vector_cases

from twinplane.node.log_queue import QueueFacts, QueueLimits
from twinplane.node.log_sinks import Surroundings
from twinplane.node.log_sinks.file import FileDelivery, FileSink
from twinplane.node.logs import LogDelivery

CONFIG = """
_format_version: "3.0"
services:
  - name: s
    url: http://127.0.0.1:<echo-port>
    routes: [{name: r, paths: [/r]}]
plugins:
  - name: file-log
    config: {path: "PATH", reopen: REOPEN, custom_fields_by_lua: {added: "return 'v'"}}
"""


@pytest.mark.parametrize("case", vector_cases(__file__))
def test_a_vector(case: VectorCase) -> None:
    play(case)


def test_the_example_of_the_page_runs() -> None:
    check_example(__file__)


def config(path: Path | str, *, reopen: bool = False) -> str:
    return CONFIG.replace("PATH", str(path)).replace("REOPEN", str(reopen).lower())


def ask(running: Gateway, path: str) -> None:
    assert running.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").status in {200, 404}


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def facts(delivery: LogDelivery) -> QueueFacts:
    return delivery.facts().plugins.get("file-log", QueueFacts())


def test_each_request_is_a_line_of_a_file_that_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "entries.log"
    path.write_text('{"earlier": true}\n', encoding="utf-8")
    with gateway(config(path)) as running, delivering(running.node) as delivery:
        for asked in ("/r/1", "/r/2", "/none"):
            ask(running, asked)
        eventually(lambda: len(lines(path)) == 4)
        eventually(lambda: facts(delivery).delivered_total == 3)
    earlier, *entries = lines(path)
    assert earlier == {"earlier": True}
    assert [entry["request"]["uri"] for entry in entries] == ["/r/1", "/r/2", "/none"]
    assert [entry["response"]["status"] for entry in entries] == [200, 200, 404]
    assert entries[0]["added"] == "v"


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    path = tmp_path / "entries.log"
    before = os.umask(0o022)
    try:
        with gateway(config(path)) as running, delivering(running.node):
            ask(running, "/r")
            eventually(lambda: len(lines(path)) == 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("reopen", [True, False])
def test_a_file_that_was_moved_away_is_written_to_unless_reopened(tmp_path: Path, reopen: bool) -> None:
    path, moved = tmp_path / "entries.log", tmp_path / "entries.log.1"
    with gateway(config(path, reopen=reopen)) as running, delivering(running.node) as delivery:
        ask(running, "/r/1")
        eventually(lambda: facts(delivery).delivered_total == 1)
        path.rename(moved)
        ask(running, "/r/2")
        eventually(lambda: facts(delivery).delivered_total == 2)
    assert (len(lines(path)), len(lines(moved))) == ((1, 1) if reopen else (0, 2))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here is always full")
def test_a_full_disk_slows_no_request_and_is_counted() -> None:
    around = Surroundings(entries_max=3)
    with gateway(config("/dev/full")) as running, delivering(running.node, around) as delivery:
        for number in range(20):
            ask(running, f"/r/{number}")
        # The entries that wait are bounded; one batch is under way and is tried again.
        eventually(lambda: facts(delivery).dropped_total > 0 and facts(delivery).retries_total > 0)
        assert facts(delivery).delivered_total == 0


def test_what_waited_for_a_folder_is_written_once_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "later" / "entries.log"
    with gateway(config(path)) as running, delivering(running.node) as delivery:
        ask(running, "/r/1")
        eventually(lambda: facts(delivery).retries_total > 0)
        path.parent.mkdir()
        eventually(lambda: len(lines(path)) == 1)


def test_a_fifo_that_nobody_reads_is_an_error_not_a_wait(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="No such device"):
        FileDelivery(FileSink(str(path)))([b"{}"])


def test_a_line_written_in_part_is_finished_first(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    delivery = FileDelivery(FileSink(str(path), limits=QueueLimits()))
    batch = [b'{"n":1,"fill":"' + b"x" * 100_000 + b'"}', b'{"n":2}']
    got = b""
    # A pipe takes 64 KiB: the rest of the line comes when it has been read.
    with pytest.raises(BlockingIOError):
        delivery(batch)
    got += os.read(reader, 1_000_000)
    assert delivery(batch) == 2
    got += os.read(reader, 1_000_000)
    # A batch that is given up leaves no line that the next one runs into.
    with pytest.raises(BlockingIOError):
        delivery([b"y" * 100_000])
    assert os.read(reader, 1_000_000).strip(b"y") == b""
    assert delivery([b'{"n":3}']) == 1
    got += os.read(reader, 1_000_000)
    delivery.close()
    os.close(reader)
    assert [json.loads(line)["n"] for line in got.decode().split("\n") if line] == [1, 2, 3]


def test_lua_that_the_node_cannot_run_leaves_the_plugin_out(tmp_path: Path) -> None:
    path = tmp_path / "entries.log"
    with gateway(config(path).replace("return 'v'", "return kong.ctx")) as running, delivering(running.node):
        (issue,) = running.node.applied.issues
        assert issue["plugin"] == "file-log"
        assert "plugin in Python" in str(issue)
        ask(running, "/r")
        assert running.node.core.drain("logs") == b""
    assert not path.exists()
