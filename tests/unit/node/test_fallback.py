"""The fallback configuration: written whole by those who are connected, served by those who have nothing else."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faulty_disk import FaultyDisk, disk_full

from twinplane.node import fallback
from twinplane.node.cache import Stored
from twinplane.node.conditions import Conditions
from twinplane.node.errors import FallbackUnusable
from twinplane.node.fallback import FallbackExport, FallbackStore, import_when_alone
from twinplane.settings import SettingsError, load_node_settings

MIB = 1_048_576
ONE = Stored("1" * 32, b'{"services":[{"id":"1"}]}', 7, "epoch")
TWO = Stored("2" * 32, b'{"services":[{"id":"2"}]}', 8, "epoch")


def store(directory: Path, version: str = "3.9.3") -> FallbackStore:
    return FallbackStore(directory, version, bytes_max=MIB)


def test_what_is_written_is_read_without_its_revision(tmp_path: Path) -> None:
    assert store(tmp_path).write(ONE, now=1.0, writer="n1")
    assert store(tmp_path).read() == Stored(ONE.config_hash, ONE.table)
    path = tmp_path / "3.9.3" / "config.json.gz"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b'"by":"n1"' in path.read_bytes()
    assert [each.name for each in path.parent.iterdir()] == ["config.json.gz"]


def test_what_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    assert store(tmp_path).write(ONE, now=1.0, writer="n1")
    assert not store(tmp_path).write(ONE, now=2.0, writer="n2")
    assert store(tmp_path).write(TWO, now=3.0, writer="n2")


def test_a_file_of_another_version_is_not_used(tmp_path: Path) -> None:
    store(tmp_path).write(ONE, now=1.0, writer="n1")
    with pytest.raises(FallbackUnusable, match="cannot be read"):
        store(tmp_path, "3.10.0").read()
    (tmp_path / "3.9.3").rename(tmp_path / "3.10.0")
    with pytest.raises(FallbackUnusable, match=r"exported for version 3\.9\.3"):
        store(tmp_path, "3.10.0").read()


def test_damage_is_noticed(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.write(ONE, now=1.0, writer="n1")
    whole = kept.path.read_bytes()
    chooser = random.Random(3)
    for _ in range(300):
        bit = chooser.randrange(len(whole) * 8)
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        kept.path.write_bytes(bytes(damaged))
        with pytest.raises(FallbackUnusable):
            kept.read()
    for length in range(len(whole)):
        kept.path.write_bytes(whole[:length])
        with pytest.raises(FallbackUnusable):
            kept.read()


def test_too_large_a_file_is_not_read(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.write(ONE, now=1.0, writer="n1")
    with kept.path.open("ab") as file:
        file.truncate(MIB + 1)
    with pytest.raises(FallbackUnusable, match="larger than"):
        kept.read()
    # 20 MiB of blanks in 20 KiB.
    kept.write(Stored("3" * 32, b" " * (20 * MIB)), now=1.0, writer="n1")
    with pytest.raises(FallbackUnusable, match="length does not match"):
        kept.read()


def test_each_call_of_writing_failing_in_turn_leaves_a_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, calls = 0, 1
    while number < calls:
        conditions = Conditions()
        kept = store(tmp_path / str(number))
        kept.write(ONE, now=1.0, writer="n1")
        export = FallbackExport(kept, conditions, delay_s=0, writer="n1")
        export.note(TWO)
        with monkeypatch.context() as patch:
            disk = FaultyDisk(patch, fails=disk_full(number))
            is_done = export.export()
            calls = max(calls, disk.calls)
        assert is_done != conditions.has("fallback_not_exported")
        assert kept.read().config_hash in ([TWO.config_hash] if is_done else [ONE.config_hash, TWO.config_hash])
        assert export.export()
        assert conditions.issues() == ()
        assert kept.read().config_hash == TWO.config_hash
        number += 1


async def test_only_the_newest_is_exported_after_the_delay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "_STEP_S", 0.01)
    export = FallbackExport(store(tmp_path), Conditions(), delay_s=0.2, writer="n1")
    running = asyncio.create_task(export.run())
    export.note(ONE)
    await asyncio.sleep(0.05)
    export.note(TWO)
    async with asyncio.timeout(10):
        while not export.exported_total:  # noqa: ASYNC110 - a thread exports
            await asyncio.sleep(0.01)
    assert store(tmp_path).read().config_hash == TWO.config_hash
    assert export.exported_total == 1
    running.cancel()


async def test_what_waits_at_the_end_is_exported_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "_STEP_S", 0.01)
    export = FallbackExport(store(tmp_path), Conditions(), delay_s=3600, writer="n1")
    running = asyncio.create_task(export.run())
    export.note(ONE)
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert store(tmp_path).read().config_hash == ONE.config_hash


NODE = """
import asyncio, pathlib, signal, sys
from twinplane.node import fallback
from twinplane.node.cache import Stored
from twinplane.node.conditions import Conditions

class Empty:
    is_empty = True

async def main(path, what, delay_s):
    fallback._STEP_S, fallback.ALONE_S, fallback.END_S = 0.01, 0.0, 0.2
    asked, conditions = asyncio.Event(), Conditions()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    store = fallback.FallbackStore(pathlib.Path(path), "3.9.3", bytes_max=1024)
    export = fallback.FallbackExport(store, conditions, delay_s=float(delay_s), writer="n1")
    export.note(Stored("1" * 32, b"{}", 7, "epoch"))
    alone = lambda: fallback.import_when_alone(store, Empty(), conditions, is_connected=lambda: False)
    task = asyncio.create_task(export.run() if what == "export" else alone())
    await asyncio.sleep(0.3)
    print("ready", flush=True)
    await asked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    print("stopped", [issue.code for issue in conditions.issues()], flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("what", "delay_s", "told"),
    [("export", 0, ["fallback_not_exported"]), ("export", 3600, ["fallback_not_exported"]), ("import", 0, [])],
    ids=["while exporting", "at the end", "while importing"],
)
def test_a_storage_that_hangs_does_not_keep_a_node_from_its_end(
    tmp_path: Path, what: str, delay_s: int, told: list[str]
) -> None:
    kept = store(tmp_path)
    kept.path.parent.mkdir()
    # To open a pipe that nobody else opens blocks for good, as a network mount does whose server is gone.
    os.mkfifo(kept.path)
    command = [sys.executable, "-c", NODE, str(tmp_path), what, str(delay_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:
        try:
            assert node.stdout is not None
            assert node.stdout.readline() == "ready\n"
            node.send_signal(signal.SIGTERM)
            output, _ = node.communicate(timeout=30)
        finally:
            node.kill()
    assert output == f"stopped {told}\n"
    assert node.returncode == 0


class Keeper:
    """Serves what it is given, unless it is poisoned."""

    def __init__(self) -> None:
        self.served: list[Stored] = []
        self.refuses = False

    @property
    def is_empty(self) -> bool:
        return not self.served

    async def adopt(self, stored: Stored) -> bool:
        if not self.refuses:
            self.served.append(stored)
        return not self.refuses


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "_STEP_S", 0.01)
    monkeypatch.setattr(fallback, "ALONE_S", 0.1)
    monkeypatch.setattr(fallback, "LOOK_AGAIN_S", 0.1)


@pytest.mark.usefixtures("quick")
async def test_a_node_that_is_alone_takes_the_fallback_once_it_is_there(tmp_path: Path) -> None:
    keeper, conditions = Keeper(), Conditions()
    task = asyncio.create_task(import_when_alone(store(tmp_path), keeper, conditions, is_connected=lambda: False))
    async with asyncio.timeout(10):
        while not conditions.has("fallback_not_imported"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        store(tmp_path).write(ONE, now=1.0, writer="n1")
        await task
    assert [stored.config_hash for stored in keeper.served] == [ONE.config_hash]
    assert conditions.issues() == ()


@pytest.mark.usefixtures("quick")
async def test_a_refused_fallback_is_told(tmp_path: Path) -> None:
    keeper, conditions = Keeper(), Conditions()
    keeper.refuses = True
    store(tmp_path).write(ONE, now=1.0, writer="n1")
    task = asyncio.create_task(import_when_alone(store(tmp_path), keeper, conditions, is_connected=lambda: False))
    async with asyncio.timeout(10):
        while not conditions.has("fallback_not_imported"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()
    assert "refused" in conditions.issues()[0].message


@pytest.mark.usefixtures("quick")
async def test_a_connected_node_and_one_with_a_configuration_take_no_fallback(tmp_path: Path) -> None:
    store(tmp_path).write(ONE, now=1.0, writer="n1")
    keeper = Keeper()
    task = asyncio.create_task(import_when_alone(store(tmp_path), keeper, Conditions(), is_connected=lambda: True))
    await asyncio.sleep(0.3)
    assert keeper.served == []
    keeper.served.append(TWO)
    async with asyncio.timeout(10):
        await task
    assert keeper.served == [TWO]


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        ("s3://bucket/prefix", "'s3' is not supported"),
        ("gcs://bucket", "'gcs' is not supported"),
        ("azure://account/container", "'azure' is not supported"),
        ("file://host/dir", "expected file:///directory"),
        ("/dir", "expected file:///directory"),
        ("file:///", "expected file:///directory"),
    ],
)
def test_storage_that_is_not_supported_is_refused_with_what_is(storage: str, expected: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_node_settings(None, {"KONG_CLUSTER_FALLBACK_CONFIG_STORAGE": storage, "KONG_CLUSTER_CERT": "x"})
    texts = [str(mistake) for mistake in refusal.value.mistakes if "storage" in mistake.name]
    assert len(texts) == 1
    assert expected in texts[0]


def test_a_fallback_without_storage_or_control_plane_is_refused() -> None:
    environ = {"KONG_ROLE": "traditional", "KONG_DECLARATIVE_CONFIG": "x", "KONG_CLUSTER_FALLBACK_CONFIG_EXPORT": "on"}
    with pytest.raises(SettingsError) as refusal:
        load_node_settings(None, environ)
    text = str(refusal.value)
    assert "needs cluster_fallback_config_storage" in text
    assert "is only allowed with role = data_plane" in text
