"""The audit port as its senders meet it: real sockets, TLS with pinned certificates, signed datagrams."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.certificates import Leaf
from tests.integration.audit_port import SECONDS, issued, line, open_port, until

from twinplane.audit.receiver import AuditReceiver, AuditReceiverSettings
from twinplane.settings import CONTROL_PLANE, load_process_settings


async def test_lines_over_tls_are_kept_under_the_identity_of_the_certificate(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        key = await issued(port)
        _, writer = await port.connect()
        plain = line(1, kind="started", result="success", node="forged", control_plane_id="forged")
        counted = line(1, key, path="/status\r\nforged", method="GET", result="success")
        writer.write(plain + b"\n" + str(len(counted)).encode() + b" " + counted)
        await writer.drain()
        records = await until(lambda: len(port.records()) == 2 and port.records())
        assert [record.kind for record in records] == ["node.started", "node.access"]
        assert {record.control_plane_id for record in records} == {port.platform.default.id}
        assert {record.certificate_id for record in records} == {port.certificate_id}
        assert [record.node_id for record in records] == [None, "n1"]
        assert records[1].result == "success"
        assert records[1].detail["said"] == {"path": "/status\\u{d}\\u{a}forged", "method": "GET"}
        assert records[1].client_ip == "127.0.0.1"
        writer.close()
    assert port.receiver.facts.connections == 0


async def test_a_syslog_line_of_another_program_is_kept_as_what_it_is(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        _, writer = await port.connect()
        writer.write(b'<34>1 2026-01-02T03:04:05Z host su - ID47 [x@1 a="b"] \xef\xbb\xbfsu: failed\n')
        writer.write(b"<34>1 2026-01-02T03:04:05Z host twinplane 1 access - CEF:0|v|p|1|c|n|3|a=b c\\=d e=f|g\n")
        await writer.drain()
        records = await until(lambda: len(port.records()) == 2 and port.records())
        assert [record.kind for record in records] == ["node.syslog", "node.syslog"]
        assert records[0].detail["message"] == "su: failed"
        assert records[0].detail["said"] == {"x@1.a": "b"}
        writer.close()


async def test_a_stranger_is_refused_and_one_without_certificate_too(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        for leaf in (Leaf.self_signed("stranger"), None):
            before = port.receiver.facts.refused_total
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port.receiver.port, ssl=port.context(leaf))
                with contextlib.suppress(OSError):
                    writer.write(line(1) + b"\n")
                    await asyncio.wait_for(reader.read(), SECONDS)
                writer.transport.abort()
            await until(lambda: port.receiver.facts.refused_total > before)  # noqa: B023
        assert port.records() == []


async def test_a_certificate_that_is_unpinned_loses_its_connection_and_its_key(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        key = await issued(port)
        reader, writer = await port.connect()
        writer.write(line(1, kind="started") + b"\n")
        await until(port.records)
        control, plane = port.platform.control, port.platform.default
        control.certificates.delete(plane.scope, port.platform.principal.actor, port.certificate_id)
        with contextlib.suppress(OSError):
            assert await asyncio.wait_for(reader.read(), SECONDS) == b""
        writer.transport.abort()
        port.send(line(2, key))
        await port.dropped("unknown_key")
        assert len(port.records()) == 1


async def test_datagrams_need_a_right_signature_and_a_number_of_their_own(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        key = await issued(port)
        good = line(1, key, path="/a")
        port.send(good)
        await until(port.records)
        port.send(good)
        await port.dropped("replayed")
        port.send(line(2))
        await port.dropped("unsigned")
        port.send(line(2, key, path="/a").replace(b"/a", b"/b"))
        await port.dropped("wrong_signature")
        port.send(line(2, replace(key, secret=b"x" * 32)))
        await port.dropped("wrong_signature", 2)
        port.send(line(2, replace(key, id="0" * 32)))
        await port.dropped("unknown_key")
        port.send(b"not a line", b"", b"<13>1 x")
        await port.dropped("unsigned", 4)
        port.send(line(2, key).replace(b"<109>1 ", b"<1>x "))
        await port.dropped("malformed")
        port.send(line(2, key, path="x" * 60_000) + b" " * 9000)
        await port.dropped("too_long")
        port.send(line(2, key, boot="b2"))
        await port.dropped("replayed", 2)
        port.send(line(2, key))
        await until(lambda: len(port.records()) == 2)
        assert [record.detail["number"] for record in port.records()] == [1, 2]
        assert port.records()[0].node_id == "n1"


async def test_order_does_not_matter_and_what_is_missing_is_counted(tmp_path: Path) -> None:
    async with open_port(tmp_path, settle_s=1.0) as port:
        key = await issued(port)
        port.send(*(line(number, key) for number in (3, 1, 2, 7)))
        await until(lambda: port.receiver.facts.lost_total == 3)
        lost = await until(lambda: port.records("audit.lost"))
        assert (lost[0].node_id, lost[0].detail) == ("n1", {"lines": 3})
        port.send(line(5, key))
        await port.dropped("replayed")
        port.send(line(8, key))
        await until(lambda: len(port.records()) == 5)
        assert port.receiver.facts.lost_total == 3


async def test_a_new_key_takes_over_and_the_old_one_has_a_short_grace(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        old = await issued(port)
        new = await issued(port)
        port.send(line(1, old), line(2, new))
        await until(lambda: len(port.records()) == 2)
        await issued(port)
        port.send(line(3, old))
        await port.dropped("unknown_key")
        port.send(line(3, new))
        await until(lambda: len(port.records()) == 3)


async def test_a_restarted_receiver_goes_on_counting_where_it_was(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        key = await issued(port)
        port.send(*(line(number, key) for number in range(1, 4)))
        await until(lambda: len(port.records()) == 3)
        again = AuditReceiver(
            port.platform.control,
            port.desk,
            AuditReceiverSettings("127.0.0.1", 0, settle_s=0.1),
            admit=lambda _: pytest.fail("not asked"),
        )
        await again.start()
        try:
            port.receiver, before = again, port.receiver
            key = await issued(port)
            port.send(line(3, key))
            await port.dropped("replayed")
            port.send(line(5, key))
            await until(lambda: again.facts.lost_total == 1)
        finally:
            port.receiver = before
            await again.stop()


async def test_a_key_is_of_no_use_to_nodes_of_another_control_plane(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        key = await issued(port)
        other = Leaf.self_signed("other")
        control, actor = port.platform.control, port.platform.principal.actor
        plane = control.control_planes.create(port.platform.principal.organization_id, "us", actor, {"name": "another"})
        control.certificates.create(plane.scope, actor, other.certificate)
        _, writer = await port.connect(other)
        writer.write(line(1, key) + b"\n" + line(1, kind="mine") + b"\n")
        await port.dropped("foreign_key")
        records = await until(port.records)
        assert [(record.kind, record.control_plane_id) for record in records] == [("node.mine", plane.id)]
        writer.close()


async def test_hostile_streams_harm_nobody(tmp_path: Path) -> None:
    async with open_port(tmp_path, connections_max=4, line_bytes_max=1024) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port.receiver.port) for _ in range(2)]
        _, long = await port.connect()
        long.write(b"x" * 100_000 + b"\n" + line(1, kind="after") + b"\n")
        await port.dropped("too_long")
        records = await until(port.records)
        assert [record.kind for record in records] == ["node.after"]
        # Numbers that are none, or that no record can hold: what stands behind them is kept all the same.
        for number in ("9" * 400, "\N{SUPERSCRIPT TWO}", "-1"):
            long.write(line(1, kind="odd").replace(b'seq="1"', f'seq="{number}"'.encode()) + b"\n")
        odd = await until(lambda: len(port.records("node.odd")) == 3 and port.records("node.odd"))
        assert [record.detail["number"] for record in odd] == [None, None, None]
        for start in (b"999999 <", b"12345678", b"9x"):
            reader, writer = await port.connect()
            writer.write(start)
            with contextlib.suppress(OSError):
                assert await asyncio.wait_for(reader.read(), SECONDS) == b""
            writer.transport.abort()
            await until(lambda: port.receiver.facts.connections == 3)
        extra = [await asyncio.open_connection("127.0.0.1", port.receiver.port) for _ in range(3)]
        await until(lambda: port.receiver.facts.refused_total >= 2)
        long.write(line(2, kind="still") + b"\n")
        await until(lambda: port.records("node.still"))
        assert port.desk.unwritable_total == 0
        for _, writer in (*silent, *extra):
            writer.transport.abort()
        long.close()


async def test_strangers_of_one_address_do_not_take_the_room_of_nodes(tmp_path: Path) -> None:
    async with open_port(tmp_path, connections_max=100) as port:
        _, node = await port.connect()
        await until(lambda: port.receiver.facts.connections == 1)
        strangers = [await asyncio.open_connection("127.0.0.1", port.receiver.port) for _ in range(50)]
        await until(lambda: port.receiver.facts.refused_total >= 18)
        assert port.receiver.facts.connections <= 33
        node.write(line(1, kind="still") + b"\n")
        await until(port.records)
        for _, writer in strangers:
            writer.transport.abort()
        node.close()


async def test_one_certificate_has_its_share_of_connections(tmp_path: Path) -> None:
    async with open_port(tmp_path, connections_max=16, certificate_connections_max=8) as port:
        # From several addresses: it is the certificate that counts.
        opened = [await port.connect(address=f"127.0.0.{1 + number % 2}") for number in range(10)]
        await until(lambda: port.receiver.facts.refused_total == 2)
        assert port.receiver.facts.connections == 8
        other = Leaf.self_signed("other")
        plane, actor = port.platform.default, port.platform.principal.actor
        port.platform.control.certificates.create(plane.scope, actor, other.certificate)
        _, writer = await port.connect(other)
        writer.write(line(1, kind="other") + b"\n")
        await until(port.records)
        for _, one in (*opened, (None, writer)):
            one.transport.abort()


def test_by_default_a_fleet_with_one_pair_behind_one_address_fits_beside_others() -> None:
    limits = AuditReceiverSettings("127.0.0.1", 0)
    assert 1000 <= limits.certificate_connections_max <= limits.connections_max // 2
    defaults = load_process_settings(CONTROL_PLANE, {}, {})
    assert defaults["audit-connections"] == limits.connections_max
    assert defaults["audit-certificate-connections"] == limits.certificate_connections_max


async def test_certificates_of_version_1_and_the_shared_one(tmp_path: Path) -> None:
    async with open_port(tmp_path / "data") as port:
        old = Leaf.version_1("kong_clustering", tmp_path)
        plane, actor = port.platform.default, port.platform.principal.actor
        port.platform.control.certificates.create(plane.scope, actor, old.certificate)
        shared = Leaf.self_signed("kong_clustering")
        port.receiver.present((port.server.certificate, port.server.key), (shared.certificate, shared.key))
        context = port.context(old)
        context.verify_mode = ssl.CERT_NONE
        shown = {}
        for name in ("localhost", "kong_clustering"):
            _, writer = await asyncio.open_connection(
                "127.0.0.1", port.receiver.port, ssl=context, server_hostname=name
            )
            shown[name] = ssl.DER_cert_to_PEM_cert(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
            if name == "localhost":
                writer.write(line(1, kind="old") + b"\n")
                await until(port.records)
            writer.transport.abort()
        assert shown == {"localhost": port.server.certificate, "kong_clustering": shared.certificate}


async def test_a_fast_sender_is_slowed_on_tcp_and_dropped_on_udp(tmp_path: Path) -> None:
    async with open_port(tmp_path, lines_per_second=50) as port:
        key = await issued(port)
        number, deadline = 0, time.monotonic() + SECONDS
        # In small groups: a socket's buffer drops what is too much for it, unseen.
        while not port.receiver.facts.dropped["too_fast"] and time.monotonic() < deadline:
            port.send(*(line(number + one, key) for one in range(1, 51)))
            number += 50
            await asyncio.sleep(0.01)
        assert port.receiver.facts.dropped["too_fast"]
        _, writer = await port.connect()
        writer.write(b"".join(line(number, kind="tcp") + b"\n" for number in range(1, 301)))
        await until(lambda: len(port.records("node.tcp")) == 300)
        assert port.desk.dropped_total == 0
        writer.close()


async def test_a_full_desk_drops_datagrams_and_counts_them(tmp_path: Path) -> None:
    async with open_port(tmp_path, notes_max=5, lines_per_second=100_000) as port:
        key = await issued(port)
        port.send(*(line(number, key) for number in range(1, 101)))
        await port.dropped("queue_full")
        await until(lambda: len(port.records()) >= 5)
        assert port.receiver.facts.received_total <= 100
