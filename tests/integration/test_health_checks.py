"""Health checks through a running core: probes against real servers, what they cost a target, and the way back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from tests.certificates import Leaf
from tests.conformance.proxy.running_node import RunningNode, running

from twinplane.control import declarative
from twinplane.node.conditions import Conditions
from twinplane.node.http import HttpServer
from twinplane.node.metrics import health_samples
from twinplane.node.probe import ANSWER_BYTES_MAX
from twinplane.node.probing import Prober
from twinplane.node.status import StatusApi, StatusFacts
from twinplane.node.target_health import TargetHealth

PATIENCE_S = 90.0
QUICK_S = 0.05
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNAVAILABLE = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
MUTE = b""


@dataclass
class Target:
    """A server whose answers the test decides."""

    answer: bytes = OK
    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    presented: list[bytes | None] = field(default_factory=list)
    open_most: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Target]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await self.hang_up()

    async def hang_up(self) -> None:
        """Cut what is open, and wait for its end."""
        for writer in self._open:
            writer.transport.abort()
        while self._open:  # noqa: ASYNC110 - connections end by themselves
            await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.open_most = max(self.open_most, len(self._open))
        try:
            secured = writer.get_extra_info("ssl_object")
            self.presented.append(secured.getpeercert(binary_form=True) if secured else None)
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                if self.answer == MUTE:
                    await reader.read()
                    return
                writer.write(self.answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()
            self._open.discard(writer)


def upstream(targets: list[str], active: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """A configuration of one service before these targets."""
    pool = {"name": "pool.test", "targets": [{"target": target} for target in targets], **fields}
    pool["healthchecks"] = {"active": active, **fields.get("healthchecks", {})}
    service = {"name": "s", "url": "http://pool.test", "retries": 0, "routes": [{"paths": ["/"]}]}
    return {"_format_version": "3.0", "services": [service], "upstreams": [pool]}


def checks(**fields: Any) -> dict[str, Any]:
    """Two failures put out, two successes bring back, often enough for a test."""
    return {
        "timeout": 30,
        "healthy": {"interval": QUICK_S, "successes": 2},
        "unhealthy": {"interval": QUICK_S, "http_failures": 2, "tcp_failures": 2, "timeouts": 2},
        **fields,
    }


async def until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for something to become so."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.02)
            return
    pytest.fail(f"never so: {what}")


@contextlib.asynccontextmanager
async def probing(
    node: RunningNode, *, trust: Callable[[], ssl.SSLContext] = ssl.create_default_context, probes_max: int = 256
) -> AsyncIterator[Prober]:
    """A prober at work."""
    prober = Prober(node.core, trust, probes_max=probes_max)
    tasks = [asyncio.create_task(prober.run()), asyncio.create_task(TargetHealth(node.core).watch(Conditions()))]
    try:
        yield prober
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def core(config: Mapping[str, Any], **settings: str) -> Iterator[RunningNode]:
    with running(settings, config) as node:
        yield node


def states(node: RunningNode) -> list[str]:
    return [row["health"] for row in orjson.loads(node.core.drain("health"))]


async def ask(node: RunningNode) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{node.port}/x", timeout=PATIENCE_S)


async def test_probes_put_a_target_out_and_bring_it_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with Target().listening() as good, Target().listening() as bad:
        active = checks(http_path="/up/a%20b", headers={"X-Probe": ["1", "2"]})
        config = upstream([f"127.0.0.1:{good.port}", f"127.0.0.1:{bad.port}"], active)
        with core(config) as node:
            async with probing(node) as prober:
                await until(lambda: len(good.heads) > 2, "probed")
                assert states(node) == ["healthy", "healthy"]
                expected = f"GET /up/a%20b HTTP/1.1\r\nConnection: close\r\nHost: 127.0.0.1:{good.port}\r\n"
                assert good.heads[0].decode() == f"{expected}X-Probe: 1\r\nX-Probe: 2\r\n\r\n"
                bad.answer = UNAVAILABLE
                await until(lambda: states(node).count("unhealthy") == 1, "put out")
                bad.heads.clear()
                assert {(await ask(node)).status_code for _ in range(6)} == {200}
                assert not any(b"/x" in head for head in bad.heads)
                await until(lambda: "target_put_out upstream=pool.test" in caplog.text, "logged")
                bad.answer = OK
                await until(lambda: "unhealthy" not in states(node), "brought back")
                await until(lambda: "target_put_in upstream=pool.test" in caplog.text, "logged")
                assert prober.facts.answered_total > 4
            told = orjson.loads(node.core.drain("metrics"))
            samples = {(one.name, one.labels["target"]): one.value for one in health_samples(told)}
            assert samples["twinplane_target_ejections_total", f"127.0.0.1:{bad.port}"] == 1
            assert ("twinplane_target_ejections_total", f"127.0.0.1:{good.port}") not in samples


@pytest.mark.parametrize(
    ("answer", "limit"),
    [(MUTE, "timeouts"), (b"SSH-2.0-x\r\n", "http_failures"), (b"x" * (ANSWER_BYTES_MAX * 4), "http_failures")],
    ids=["mute", "garbage", "endless line"],
)
async def test_what_a_target_does_wrong_counts_for_its_own_rule(answer: bytes, limit: str) -> None:
    async with Target(answer).listening() as target:
        unhealthy = {"interval": QUICK_S, "http_failures": 0, "tcp_failures": 0, "timeouts": 0, limit: 1}
        config = upstream([f"127.0.0.1:{target.port}"], checks(timeout=0.3, unhealthy=unhealthy))
        with core(config) as node:
            async with probing(node) as prober:
                await until(lambda: states(node) == ["unhealthy"], limit)
                answered = await ask(node)
                assert answered.status_code == 503
                assert answered.json()["message"] == "failure to get a peer from the ring-balancer"
                assert prober.facts.failed_total > 0


async def test_a_target_that_is_not_there_is_put_out_and_found_when_it_comes() -> None:
    async with Target().listening() as target:
        port = target.port
    with core(upstream([f"127.0.0.1:{port}"], checks(type="tcp"))) as node:
        async with probing(node):
            await until(lambda: states(node) == ["unhealthy"], "refused")
            async with target.listening():
                await until(lambda: states(node) == ["healthy"], "found")
                assert (await ask(node)).status_code == 200


async def test_grpc_targets_are_alive_when_they_speak_http_2() -> None:
    settings_frame = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    async with Target(settings_frame).listening() as speaks, Target(OK).listening() as other:
        config = upstream([f"127.0.0.1:{speaks.port}", f"127.0.0.1:{other.port}"], checks(type="grpc"))
        with core(config) as node:
            async with probing(node):
                await until(lambda: sorted(states(node)) == ["healthy", "unhealthy"], "told apart")
                assert speaks.heads[0].startswith(b"PRI * HTTP/2.0")


def server_tls(leaf: Leaf, directory: Path, seen: list[str | None], client: Leaf | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (directory / "leaf.pem").write_text(leaf.certificate + leaf.key)
    context.load_cert_chain(directory / "leaf.pem")
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    if client is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client.certificate)
    return context


async def test_probes_over_tls_name_verify_and_present(tmp_path: Path) -> None:
    leaf, client = Leaf.self_signed("up.test", names=("up.test",)), Leaf.self_signed("node.test")

    def trust() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=leaf.certificate)
        return context

    target = Target()
    async with target.listening(server_tls(leaf, tmp_path, target.names, client)):
        identifier = "3f1f2f7c-9a6c-4b7f-8a3e-5d1c2b3a4f5e"
        active = checks(type="https", https_sni="up.test")
        config = upstream([f"127.0.0.1:{target.port}"], active, client_certificate=identifier)
        config["certificates"] = [{"id": identifier, "cert": client.certificate, "key": client.key}]
        with core(config) as node:
            async with probing(node, trust=trust):
                await until(lambda: len(target.heads) > 2, "answered over TLS")
                assert states(node) == ["healthy"]
                assert set(target.names) == {"up.test"}
                assert target.presented[0] == ssl.PEM_cert_to_DER_cert(client.certificate)


@pytest.mark.parametrize(("verifies", "state"), [(True, "unhealthy"), (False, "healthy")])
async def test_a_certificate_of_an_unknown_issuer_fails_the_probe(
    tmp_path: Path, *, verifies: bool, state: str
) -> None:
    target = Target()
    async with target.listening(server_tls(Leaf.self_signed("up.test"), tmp_path, target.names)):
        active = checks(type="https", https_verify_certificate=verifies)
        with core(upstream([f"127.0.0.1:{target.port}"], active)) as node:
            async with probing(node) as prober:
                await until(lambda: prober.facts.answered_total + prober.facts.failed_total > 2, "probed")
                await until(lambda: states(node) == [state], state)


async def test_no_more_probes_are_under_way_than_allowed() -> None:
    async with Target(MUTE).listening() as target:
        names = [f"127.0.0.{number}:{target.port}" for number in range(1, 9)]
        # None of them ends by itself: a target sees the end of a probe later than the prober does.
        config = upstream(names, checks(timeout=600, concurrency=3))
        async with contextlib.AsyncExitStack() as stack:
            for number in range(2, 9):
                server = await asyncio.start_server(target._serve, f"127.0.0.{number}", target.port)
                stack.callback(server.close)
            with core(config) as node:
                async with probing(node) as prober:
                    await until(lambda: prober.facts.delayed_total > 50 and target.open_most >= 3, "all at once")
                    assert (target.open_most, prober.facts.under_way) == (3, 3)


async def test_what_is_known_of_a_target_outlives_changes_of_the_configuration() -> None:
    async with Target(UNAVAILABLE).listening() as bad, Target().listening() as good:
        # Found out once: afterwards nothing looks.
        unhealthy = {"interval": 0, "http_failures": 1}
        active = checks(healthy={"interval": QUICK_S, "successes": 0}, unhealthy=unhealthy)
        targets = [f"127.0.0.1:{bad.port}", f"127.0.0.1:{good.port}"]
        config = upstream(targets, active)
        with core(config) as node:
            async with probing(node):
                await until(lambda: states(node) == ["unhealthy", "healthy"], "put out")
            config["upstreams"][0]["targets"].append({"target": f"127.0.0.2:{good.port}", "weight": 0})
            node.core.apply(declarative.load(config, now=1.0).json())
            assert states(node) == ["unhealthy", "healthy", "healthy"]
            assert {(await ask(node)).status_code for _ in range(4)} == {200}


async def test_people_put_targets_out_and_in_where_the_status_port_allows_it() -> None:
    async with Target().listening() as one, Target().listening() as two:
        config = upstream([f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}"], {})
        with core(config) as node:
            for allows in (False, True):
                facts = StatusFacts("n", "3.9.3", node.core, lambda: "a" * 32, dict, takes_target_health=allows)
                server = HttpServer(StatusApi(facts).handle, server_name="t")
                port = await server.listen("127.0.0.1", 0)
                base = f"http://127.0.0.1:{port}/upstreams/pool.test"
                async with httpx.AsyncClient() as client:
                    place = f"{base}/targets/127.0.0.1:{one.port}"
                    answer = await client.put(f"{place}/unhealthy")
                    if not allows:
                        assert answer.status_code == 403
                        assert "status_target_health" in answer.json()["message"]
                    else:
                        assert answer.status_code == 204
                        health = (await client.get(f"{base}/health")).json()["data"]
                        assert [row["health"] for row in health] == ["UNHEALTHY", "HEALTHCHECKS_OFF"]
                        assert health[0]["data"]["weight"] == {"total": 100, "available": 0, "unavailable": 100}
                        assert {(await ask(node)).status_code for _ in range(4)} == {200}
                        assert one.heads == []
                        again = f"{place}/127.0.0.1:{one.port}/healthy"
                        assert (await client.post(again)).status_code == 204
                        health = (await client.get(f"{base}/health")).json()["data"]
                        assert [row["health"] for row in health] == ["HEALTHCHECKS_OFF", "HEALTHCHECKS_OFF"]
                        assert (await client.put(f"{base}/targets/none:80/healthy")).status_code == 404
                await server.close()


async def test_verdicts_that_cannot_be_read_change_nothing() -> None:
    async with Target().listening() as target:
        with core(upstream([f"127.0.0.1:{target.port}"], checks())) as node:
            whole = {"upstream": "pool.test", "host": "127.0.0.1", "target_port": target.port, "verdict": "timeout"}
            for broken in (b"", b"{}", orjson.dumps([whole, {**whole, "verdict": "fine"}])):
                with pytest.raises(ValueError, match="at line"):
                    node.core.judge(broken)
            assert node.core.judge(orjson.dumps([{**whole, "upstream": "other"}])) == 0
            assert states(node) == ["healthy"]
            assert node.core.judge(orjson.dumps([whole] * 2)) == 2
            assert states(node) == ["unhealthy"]
