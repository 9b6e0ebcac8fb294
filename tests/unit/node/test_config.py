"""A node serves whole configurations only, keeps the old one at any fault, and starts from its cache."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from twinplane.control.records import RowChange
from twinplane.hybrid.delta import Delta, DeltaHead, encode_delta
from twinplane.hybrid.errors import FrameInvalid, PayloadTooLarge
from twinplane.hybrid.hashing import EMPTY_HASH, hash_table
from twinplane.hybrid.table import ConfigTable, Rows
from twinplane.hybrid.wire import Applied, Issue, encode_reconfigure
from twinplane.node.cache import ConfigCache
from twinplane.node.config import ConfigKeeper
from twinplane.node.errors import PayloadRefused
from twinplane.node.journal import JournaledCache

MIB = 1_048_576


class CoreStub:
    """Stands for the core in tests of this room alone: takes tables without the word `poison`."""

    def __init__(self) -> None:
        self.served: list[Any] = []
        self.issues: Sequence[Issue] = ()

    def apply(self, table: bytes) -> Sequence[Issue]:
        if b"poison" in table:
            raise PayloadRefused([{"entity": "services", "id": "1", "message": "poison"}])
        self.served.append(json.loads(table))
        return self.issues


def keeper(directory: Path, core: CoreStub, **options: Any) -> ConfigKeeper:
    served: list[bytes] = []
    settings = {"complete": lambda table: table, "bytes_max": MIB, "on_served": served.append} | options
    found = ConfigKeeper(
        core.apply, JournaledCache(ConfigCache(directory), directory, bytes_max=MIB, table_bytes_min=1), **settings
    )
    found.start(
        lambda table: () if table is None else core.apply(table), (PayloadRefused,), issues=lambda issues: issues
    )
    return found


def frame(table: dict[str, Any], revision: int | None = None, epoch: str | None = "e") -> bytes:
    return encode_reconfigure(orjson.dumps(table), hash_table(table), timestamp=1.0, revision=revision, epoch=epoch)


ONE = {"_format_version": "3.0", "services": [{"id": "1"}]}
TWO = {"_format_version": "3.0", "services": [{"id": "2"}]}
BAD = {"_format_version": "3.0", "services": [{"id": "poison"}]}


@pytest.mark.parametrize("is_twin", [True, False])
async def test_a_configuration_is_applied_and_kept(tmp_path: Path, is_twin: bool) -> None:
    core = CoreStub()
    node = keeper(tmp_path, core)
    outcome = await node.receive(frame(ONE, 7), is_twin=is_twin)
    assert outcome is not None
    assert outcome.config_hash == hash_table(ONE).config == node.config_hash
    assert (node.applied().revision, node.applied().epoch) == (7, "e")
    assert core.served == [ONE]
    restarted = CoreStub()
    again = keeper(tmp_path, restarted)
    assert restarted.served == [ONE]
    assert (again.config_hash, again.applied().revision) == (node.config_hash, 7)


async def test_the_same_hash_is_not_applied_twice(tmp_path: Path) -> None:
    core = CoreStub()
    node = keeper(tmp_path, core)
    await node.receive(frame(ONE, 1), is_twin=True)
    await node.receive(frame(ONE, 2), is_twin=True)
    assert core.served == [ONE]
    assert node.applied().revision == 2


async def test_a_refused_configuration_changes_nothing(tmp_path: Path) -> None:
    core = CoreStub()
    node = keeper(tmp_path, core)
    await node.receive(frame(ONE, 1), is_twin=True)
    outcome = await node.receive(frame(BAD, 2), is_twin=True)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.config_hash == hash_table(BAD).config
    assert outcome.fault.flattened_errors[0]["entity_id"] == "1"
    assert outcome.config_hash == node.config_hash == hash_table(ONE).config
    restarted = CoreStub()
    keeper(tmp_path, restarted)
    assert restarted.served == [ONE]


async def test_revisions_never_move_back_within_an_epoch(tmp_path: Path) -> None:
    core = CoreStub()
    node = keeper(tmp_path, core)
    await node.receive(frame(ONE, 5), is_twin=True)
    await node.receive(frame(TWO, 4), is_twin=True)
    assert core.served == [ONE]
    # A restored backup publishes older content under a new epoch.
    await node.receive(frame(TWO, 1, "after-restore"), is_twin=True)
    assert core.served == [ONE, TWO]


async def test_a_cached_configuration_that_is_refused_gives_way_to_the_one_before(tmp_path: Path) -> None:
    node = keeper(tmp_path, CoreStub())
    await node.receive(frame(ONE, 1), is_twin=True)
    await node.receive(frame(TWO, 2), is_twin=True)

    class Choosy(CoreStub):
        def apply(self, table: bytes) -> Sequence[Issue]:
            if b'"2"' in table:
                raise PayloadRefused([{"message": "no more"}])
            return super().apply(table)

    core = Choosy()
    assert keeper(tmp_path, core).config_hash == hash_table(ONE).config
    assert core.served == [ONE]


async def test_issues_of_a_cached_configuration_are_known_after_a_restart(tmp_path: Path) -> None:
    core = CoreStub()
    core.issues = [Issue("plugin_unavailable", "no ldap-auth here", "ldap-auth", None)]
    await keeper(tmp_path, core).receive(frame(ONE, 1), is_twin=True)
    assert [issue.plugin for issue in keeper(tmp_path, core).applied().issues] == ["ldap-auth"]


def test_nothing_cached_reports_the_empty_hash(tmp_path: Path) -> None:
    assert keeper(tmp_path, CoreStub()).config_hash == EMPTY_HASH


async def test_a_start_that_fails_without_configuration_is_raised(tmp_path: Path) -> None:
    def broken(_table: bytes | None) -> None:
        raise PayloadRefused([{"message": "port in use"}])

    node = ConfigKeeper(
        CoreStub().apply, ConfigCache(tmp_path), complete=bytes, bytes_max=MIB, on_served=lambda _table: None
    )
    with pytest.raises(PayloadRefused, match="port in use"):
        node.start(broken, (PayloadRefused,), issues=lambda _core: ())


async def test_sparse_tables_of_other_makers_are_completed(tmp_path: Path) -> None:
    class Strict(CoreStub):
        def apply(self, table: bytes) -> Sequence[Issue]:
            if b"port" not in table:
                raise PayloadRefused([{"message": "missing field `port`"}])
            return super().apply(table)

    core = Strict()
    node = keeper(tmp_path, core, complete=lambda table: table.replace(b'"id":"1"', b'"id":"1","port":80'))
    outcome = await node.receive(frame(ONE), is_twin=False)
    assert outcome is not None
    assert outcome.fault is None
    assert core.served[0]["services"] == [{"id": "1", "port": 80}]
    assert node.config_hash == hash_table(ONE).config
    outcome = await node.receive(frame(TWO), is_twin=False)
    assert outcome is not None
    assert outcome.fault is not None


async def test_a_payload_without_a_hash_is_hashed_here(tmp_path: Path) -> None:
    node = keeper(tmp_path, CoreStub())
    await node.receive(gzip.compress(orjson.dumps({"type": "reconfigure", "config_table": ONE})), is_twin=False)
    assert node.config_hash == hash_table(ONE).config


async def test_frames_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    node = keeper(tmp_path, CoreStub())
    assert await node.receive(gzip.compress(b'{"type":"hello"}'), is_twin=False) is None
    for bad in (b"not gzip", gzip.compress(b"not json"), gzip.compress(b'{"a":1}')[:-4], gzip.compress(b"[]")):
        with pytest.raises(FrameInvalid):
            await node.receive(bad, is_twin=False)
    with pytest.raises(PayloadTooLarge):
        await node.receive(gzip.compress(bytes(400 * MIB)), is_twin=True)
    assert node.config_hash == EMPTY_HASH


async def test_what_the_disk_did_not_take_is_written_later_without_a_new_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("twinplane.node.config.RETRY_FIRST_S", 0.01)
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    node = keeper(prefix, CoreStub())
    prefix.rmdir()
    with caplog.at_level(logging.WARNING):
        await node.receive(frame(ONE, 1), is_twin=True)
        retrying = asyncio.create_task(node.retry_keeping())
        await asyncio.sleep(0.05)
        assert node.conditions.has("cache_unwritable")
        prefix.mkdir()
        async with asyncio.timeout(10):
            while node.conditions.has("cache_unwritable"):  # noqa: ASYNC110 - a thread clears it
                await asyncio.sleep(0.01)
        retrying.cancel()
    assert sum("cache_unwritable" in line for line in caplog.messages) == 1
    assert keeper(prefix, restarted := CoreStub()).applied().revision == 1
    assert restarted.served == [ONE]


async def test_a_damaged_cache_is_told_until_a_whole_one_is_written(tmp_path: Path) -> None:
    node = keeper(tmp_path, CoreStub())
    await node.receive(frame(ONE, 1), is_twin=True)
    await node.receive(frame(TWO, 2), is_twin=True)
    (tmp_path / "config.json.gz").write_bytes(b"{}")
    again = keeper(tmp_path, core := CoreStub())
    assert core.served == [ONE]
    issue = again.applied().issues[0]
    assert issue.code == "cache_damaged"
    assert "an older configuration is served" in issue.message
    await again.receive(frame(TWO, 2), is_twin=True)
    assert again.applied().issues == ()
    for name in ("config.json.gz", "config.json.gz.1"):
        (tmp_path / name).write_bytes(b"{}")
    empty = keeper(tmp_path, CoreStub())
    assert empty.config_hash == EMPTY_HASH
    assert "the node starts without a configuration" in empty.applied().issues[0].message


async def test_an_unwritable_cache_is_an_issue_and_traffic_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    core = CoreStub()
    core.issues = [Issue("plugin_not_implemented", "ldap-auth cannot run here", "ldap-auth", None)]
    node = keeper(prefix, core)
    prefix.rmdir()
    with caplog.at_level(logging.WARNING):
        await node.receive(frame(ONE, 1), is_twin=True)
        await node.receive(frame(TWO, 2), is_twin=True)
    assert core.served == [ONE, TWO]
    assert [issue.code for issue in node.applied().issues] == ["plugin_not_implemented", "cache_unwritable"]
    assert sum("cache_unwritable" in line for line in caplog.messages) == 1
    prefix.mkdir()
    await node.receive(frame(ONE, 3), is_twin=True)
    assert [issue.code for issue in node.applied().issues] == ["plugin_not_implemented"]


# --- changes from a twinplane ---

EPOCH = "1764000000000-aabbccdd"
ORDER = ("services", "routes")


def rowed(*numbers: int, poison: bool = False) -> ConfigTable:
    """A table with a service for each number."""
    text = "poison" if poison else "fine"
    rows = [orjson.dumps({"host": text, "id": f"{number:08d}"}) for number in sorted(numbers)]
    return ConfigTable({"services": Rows([f"{number:08d}" for number in sorted(numbers)], rows)})


def whole_frame(table: ConfigTable, revision: int, epoch: str = EPOCH) -> bytes:
    return encode_reconfigure(
        table.text(), hash_table(orjson.loads(table.text())), timestamp=1.0, revision=revision, epoch=epoch
    )


def delta_frame(base: ConfigTable, table: ConfigTable, revisions: tuple[int, int], **changes: Any) -> bytes:
    """The frame that leads from one table to another."""
    old, new = base.collections["services"], table.collections["services"]
    operations = [RowChange("services", one, None) for one in old.ids if new.get(one) is None]
    operations += [
        RowChange("services", one, value)
        for one, value in zip(new.ids, new.values, strict=True)
        if old.get(one) != value
    ]
    fields = {
        "epoch": EPOCH,
        "base": revisions[0],
        "revision": revisions[1],
        "config_hash": hash_table(orjson.loads(table.text())).config,
        "digest": table.digest,
        "collections": list(table.collections),
    } | changes
    return encode_delta(Delta(DeltaHead(**fields), operations), timestamp=1.0)


async def test_a_change_is_put_among_the_rows(tmp_path: Path) -> None:
    core = CoreStub()
    node = keeper(tmp_path, core)
    one, two = rowed(1, 2, 3), rowed(1, 3, 4)
    await node.receive(whole_frame(one, 5), is_twin=True)
    assert node.applied().digest == one.digest
    outcome = await node.receive(delta_frame(one, two, (5, 8)), is_twin=True)
    assert outcome is not None
    assert (outcome.fault, outcome.resync) == (None, None)
    assert core.served[-1] == orjson.loads(two.text())
    assert node.applied() == Applied(hash_table(core.served[-1]).config, 8, EPOCH, (), two.digest)
    assert node.deltas_total == 1
    restarted = CoreStub()
    again = keeper(tmp_path, restarted)
    assert restarted.served == [orjson.loads(two.text())]
    assert again.applied() == node.applied()


async def test_a_change_from_another_revision_asks_for_the_whole(tmp_path: Path) -> None:
    core = CoreStub()
    node = keeper(tmp_path, core)
    one, two = rowed(1), rowed(2)
    await node.receive(whole_frame(one, 5), is_twin=True)
    for revisions, changes in (((4, 8), {}), ((6, 8), {}), ((5, 8), {"epoch": "1764000000001-aabbccdd"})):
        await node.receive(whole_frame(one, 5), is_twin=True)
        outcome = await node.receive(delta_frame(one, two, revisions, **changes), is_twin=True)
        assert outcome is not None
        assert outcome.resync is not None
        assert outcome.resync.reason == "base_unknown"
    assert len(core.served) == 1
    assert (node.applied().revision, node.applied().digest) == (5, None)
    # Now no change is taken, until the whole has come.
    outcome = await node.receive(delta_frame(one, two, (5, 8)), is_twin=True)
    assert outcome is not None
    assert outcome.resync is not None
    await node.receive(whole_frame(two, 8), is_twin=True)
    assert node.applied().digest == two.digest


async def test_rows_that_come_out_otherwise_ask_for_the_whole(tmp_path: Path) -> None:
    core = CoreStub()
    node = keeper(tmp_path, core)
    one, two = rowed(1), rowed(2)
    await node.receive(whole_frame(one, 5), is_twin=True)
    outcome = await node.receive(delta_frame(one, two, (5, 8), digest="0" * 64), is_twin=True)
    assert outcome is not None
    assert outcome.resync is not None
    assert outcome.resync.reason == "digest_mismatch"
    assert len(core.served) == 1
    assert node.resyncs_total == 1


async def test_a_broken_change_asks_for_the_whole(tmp_path: Path) -> None:
    core = CoreStub()
    node = keeper(tmp_path, core)
    await node.receive(whole_frame(rowed(1), 5), is_twin=True)
    outcome = await node.receive(gzip.compress(b'{"type":"delta",}'), is_twin=True)
    assert outcome is not None
    assert outcome.resync is not None
    assert outcome.resync.reason == "delta_invalid"
    assert len(core.served) == 1


async def test_a_change_that_the_core_refuses_changes_nothing(tmp_path: Path) -> None:
    core = CoreStub()
    node = keeper(tmp_path, core)
    one, bad, two = rowed(1), rowed(2, poison=True), rowed(3)
    await node.receive(whole_frame(one, 5), is_twin=True)
    outcome = await node.receive(delta_frame(one, bad, (5, 6)), is_twin=True)
    assert outcome is not None
    assert outcome.fault is not None
    assert (node.applied().revision, node.applied().digest) == (5, one.digest)
    assert keeper(tmp_path, CoreStub()).applied() == node.applied()
    await node.receive(delta_frame(one, two, (5, 7)), is_twin=True)
    assert node.applied().digest == two.digest


async def test_repeated_and_late_changes_are_passed_over(tmp_path: Path) -> None:
    core = CoreStub()
    node = keeper(tmp_path, core)
    one, two = rowed(1), rowed(2)
    await node.receive(whole_frame(one, 5), is_twin=True)
    frame = delta_frame(one, two, (5, 8))
    await node.receive(frame, is_twin=True)
    for late in (
        frame,
        delta_frame(two, one, (5, 7)),
        whole_frame(one, 5),
        whole_frame(one, 9, "1763999999999-aabbccdd"),
    ):
        outcome = await node.receive(late, is_twin=True)
        assert outcome is not None
        assert outcome.resync is None
        assert node.applied().revision == 8
    assert len(core.served) == 2


async def test_a_change_without_effect_moves_the_revision(tmp_path: Path) -> None:
    core = CoreStub()
    node = keeper(tmp_path, core)
    one = rowed(1)
    await node.receive(whole_frame(one, 5), is_twin=True)
    await node.receive(delta_frame(one, one, (5, 8)), is_twin=True)
    assert (len(core.served), node.applied().revision, node.applied().digest) == (1, 8, one.digest)


async def test_other_peers_send_no_changes(tmp_path: Path) -> None:
    core = CoreStub()
    node = keeper(tmp_path, core)
    one, two = rowed(1), rowed(2)
    await node.receive(whole_frame(one, 5), is_twin=False)
    assert node.applied().digest is None
    with pytest.raises(FrameInvalid):
        await node.receive(delta_frame(one, two, (5, 8)), is_twin=False)


async def test_a_node_that_wants_no_changes_keeps_no_rows(tmp_path: Path) -> None:
    node = keeper(tmp_path, CoreStub(), takes_deltas=False)
    await node.receive(whole_frame(rowed(1), 5), is_twin=True)
    assert node.applied().digest is None
