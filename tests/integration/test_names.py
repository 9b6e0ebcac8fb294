"""Names of targets and services through a running core, against a name server that fails, lies and dawdles."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

pytest.importorskip("dnslib", reason="the name server of these tests needs dnslib")

from tests import name_server
from tests.conformance.proxy.running_node import RunningNode, running
from tests.name_server import NameServer

PATIENCE_S = 60.0


class _Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        place = "{}:{}".format(*self.server.server_address[:2])
        body = json.dumps({"at": place, "host": self.headers["Host"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def upstreams(*addresses: str, port: int = 0) -> Iterator[list[str]]:
    """Servers that say where they are, one for each address; on one port where one is given."""
    servers = []
    for address in addresses:
        server = http.server.ThreadingHTTPServer((address, port), _Echo)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield ["{}:{}".format(*server.server_address[:2]) for server in servers]
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


@pytest.fixture
def names() -> Iterator[NameServer]:
    """A name server that knows nothing yet."""
    with name_server.running() as server:
        yield server


def direct(host: str, port: int, **service: Any) -> dict[str, Any]:
    """A service that names its host."""
    row = {"name": "s", "host": host, "port": port, "routes": [{"paths": ["/"]}], "retries": 0, **service}
    return {"_format_version": "3.0", "services": [row]}


def pooled(targets: Sequence[str], **upstream: Any) -> dict[str, Any]:
    """A service before an upstream of these targets."""
    rows = [{"target": target} for target in targets]
    return {**direct("pool.test", 80), "upstreams": [{"name": "pool.test", "targets": rows, **upstream}]}


@contextlib.contextmanager
def node(names: NameServer, config: dict[str, Any], **settings: Any) -> Iterator[RunningNode]:
    """A core that asks this name server."""
    chosen = {"dns_resolver": names.address, **{name: str(value) for name, value in settings.items()}}
    with running(chosen, config) as made:
        yield made


def ask(made: RunningNode) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", made.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        body: dict[str, Any] = orjson.loads(answer.read())
        return answer.status, body
    finally:
        connection.close()


def places(made: RunningNode, count: int) -> Counter[str]:
    """Where so many requests went."""
    answers = [ask(made) for _ in range(count)]
    assert {status for status, _ in answers} == {200}, answers
    return Counter(body["at"] for _, body in answers)


def counted(made: RunningNode, name: str) -> int:
    found: int = orjson.loads(made.core.drain("metrics"))["dns"][name]
    return found


def health(made: RunningNode) -> list[str]:
    return [row["health"] for row in orjson.loads(made.core.drain("health"))]


def until(is_so: Callable[[], object], what: str) -> None:
    """Wait for something to become so."""
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, f"never so: {what}"
        time.sleep(0.05)


@pytest.mark.parametrize("uses_name", [False, True])
def test_service_records_bring_port_weight_and_name(names: NameServer, *, uses_name: bool) -> None:
    with upstreams("127.0.0.1", "127.0.0.2", "127.0.0.3") as (one, two, reserve):
        ports = [int(place.rpartition(":")[2]) for place in (one, two, reserve)]
        for number in (1, 2, 3):
            names.leads(f"n{number}.test", f"127.0.0.{number}")
        names.serves(
            "shop.test", (10, 3, ports[0], "n1.test"), (10, 0, ports[1], "n2.test"), (20, 9, ports[2], "n3.test")
        )
        with node(names, pooled(["shop.test:9"], use_srv_name=uses_name)) as made:
            # Of the first priority alone, and a weight of 0 counts as 1.
            assert places(made, 8) == {one: 6, two: 2}
            hosts = {ask(made)[1]["host"] for _ in range(8)}
            wanted = ["n1.test", "n2.test"] if uses_name else ["shop.test", "shop.test"]
            assert hosts == {f"{name}:{port}" for name, port in zip(wanted, ports, strict=False)}


def test_a_service_record_of_a_plain_host_brings_its_port(names: NameServer) -> None:
    with upstreams("127.0.0.1") as (one,):
        names.leads("n1.test", "127.0.0.1")
        names.serves("shop.test", (1, 1, int(one.rpartition(":")[2]), "n1.test"))
        with node(names, direct("shop.test", 9)) as made:
            assert places(made, 3) == {one: 3}


def test_each_address_of_a_name_gets_its_share(names: NameServer) -> None:
    with upstreams("127.0.0.1") as (one,):
        port = int(one.rpartition(":")[2])
        with upstreams("127.0.0.2", "127.0.0.3", port=port) as (two, three):
            names.leads("shop.test", "127.0.0.1", "127.0.0.2", "127.0.0.3")
            with node(names, pooled([f"shop.test:{port}"])) as made:
                assert places(made, 9) == {one: 3, two: 3, three: 3}


def test_an_answer_that_is_cut_off_is_asked_for_over_tcp(names: NameServer) -> None:
    with upstreams("127.0.0.1") as (one,):
        port = int(one.rpartition(":")[2])
        names.leads("shop.test", *(f"127.0.1.{number}" for number in range(1, 100)), "127.0.0.1")
        with node(names, pooled([f"shop.test:{port}"])) as made:
            until(lambda: len(health(made)) == 100, "all addresses are known")
            assert names.over_tcp > 0


def test_forged_answers_lead_nowhere(names: NameServer) -> None:
    with upstreams("127.0.0.1") as (one,):
        port = int(one.rpartition(":")[2])
        with upstreams("127.0.0.66", port=port):
            names.leads("shop.test", "127.0.0.1", ttl=0)
            names.manner = name_server.lying("127.0.0.66")
            with node(names, direct("shop.test", port)) as made:
                assert places(made, 5) == {one: 5}
            # Who would forge an answer has to guess both.
            assert len(set(names.ids)) > 4
            assert len(set(names.ports)) > 2


def test_names_of_names_are_followed_and_circles_end(names: NameServer) -> None:
    with upstreams("127.0.0.1") as (one,):
        port = int(one.rpartition(":")[2])
        names.is_called("shop.test", "other.test")
        names.is_called("other.test", "third.test")
        names.leads("third.test", "127.0.0.1")
        with node(names, direct("shop.test", port)) as made:
            assert places(made, 2) == {one: 2}
        names.is_called("third.test", "shop.test")
        with node(names, direct("shop.test", port)) as made:
            status, body = ask(made)
            assert status in {500, 503}
            assert "resol" in body["message"]


FAULTS = [name_server.silent, name_server.failing, name_server.empty]


@pytest.mark.parametrize("fault", FAULTS, ids=["silent", "failing", "empty"])
@pytest.mark.parametrize("kind", ["direct", "pooled"])
def test_the_last_good_answer_serves_while_the_name_server_does_not(
    names: NameServer, fault: name_server.Manner, kind: str
) -> None:
    with upstreams("127.0.0.1") as (one,):
        port = int(one.rpartition(":")[2])
        names.leads("shop.test", "127.0.0.1", ttl=0)
        config = direct("shop.test", port) if kind == "direct" else pooled([f"shop.test:{port}"])
        with node(names, config) as made:
            assert places(made, 2) == {one: 2}
            names.manner = fault
            names.leads("shop.test", "127.0.0.66", ttl=0)
            if kind == "pooled":
                # Names of targets are looked up beside the requests, once a second.
                until(lambda: counted(made, "stale") > 0, "looked up in vain")
            assert places(made, 5) == {one: 5}
            assert counted(made, "stale") > 0
            assert "dns_error" not in health(made)
            names.leads("shop.test", "127.0.0.1", ttl=0)
            names.manner = name_server.honest
            assert places(made, 3) == {one: 3}


def test_past_its_limit_the_last_good_answer_serves_no_more(names: NameServer) -> None:
    with upstreams("127.0.0.1") as (one,):
        port = int(one.rpartition(":")[2])
        names.leads("shop.test", "127.0.0.1", ttl=0)
        config = pooled([f"shop.test:{port}"])
        config["services"].append(
            {"name": "direct", "host": "shop.test", "port": port, "routes": [{"paths": ["/direct"]}]}
        )
        config["plugins"] = [{"name": "prometheus", "config": {"upstream_health_metrics": True}}]
        with node(names, config, dns_stale_ttl=0) as made:
            assert places(made, 2) == {one: 2}
            names.manner = name_server.failing
            until(lambda: health(made) == ["dns_error"], "noticed")
            status, body = ask(made)
            assert (status, body["message"]) == (503, "failure to get a peer from the ring-balancer")
            samples = "\n".join(made.metrics())
            assert 'address="",state="dns_error",subsystem="http"} 1' in samples
            assert counted(made, "failed") > 0
            names.manner = name_server.honest
            until(lambda: health(made) != ["dns_error"], "found again")
            assert places(made, 2) == {one: 2}


def test_a_target_whose_name_never_resolves_costs_the_others_nothing(names: NameServer) -> None:
    with upstreams("127.0.0.1") as (one,):
        targets = ["missing.test:80", one]
        names.manner = name_server.silent
        with node(names, pooled(targets)) as made:
            assert places(made, 6) == {one: 6}
            until(lambda: sorted(health(made)) == ["dns_error", "healthchecks_off"], "told apart")


def test_a_missing_name_is_said_and_remembered(names: NameServer) -> None:
    with node(names, direct("missing.test", 80)) as made:
        for _ in range(4):
            status, body = ask(made)
            assert (status, body["message"]) == (503, "name resolution failed")
        assert names.count("missing.test") == 1
        assert counted(made, "absent") > 0


def test_a_silent_name_server_holds_a_request_no_longer_than_its_connect_timeout(names: NameServer) -> None:
    names.manner = name_server.silent
    with node(names, direct("shop.test", 80, connect_timeout=300)) as made:
        status, body = ask(made)
        assert status == 500
        assert body["message"].startswith("failed the initial dns/balancer resolve for 'shop.test' with: ")


def test_a_client_that_leaves_during_a_look_up_is_not_looked_up_for(names: NameServer) -> None:
    names.manner = name_server.silent
    config = direct("shop.test", 80, connect_timeout=600_000)
    config["plugins"] = [{"name": "file-log", "config": {"path": "/dev/null"}}]
    with node(names, config) as made:
        with socket.create_connection(("127.0.0.1", made.port), timeout=PATIENCE_S) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: bool(names.asked), "asked")
        (entry,) = made.log_entries(1)
        assert (entry["response"]["status"], entry["tries"]) == (499, [])


def test_one_dead_name_server_of_two_is_no_failure(names: NameServer) -> None:
    with name_server.running() as dead, upstreams("127.0.0.1") as (one,):
        dead.manner = name_server.silent
        names.leads("shop.test", "127.0.0.1")
        servers = f"{dead.address},{names.address}"
        with node(names, direct("shop.test", int(one.rpartition(":")[2])), dns_resolver=servers) as made:
            assert places(made, 3) == {one: 3}


def test_the_cache_is_bounded_and_says_so(names: NameServer) -> None:
    with upstreams("127.0.0.1") as (one,):
        port = int(one.rpartition(":")[2])
        targets = [f"n{number}.test:{port}" for number in range(12)]
        for target in targets:
            names.leads(target.partition(":")[0], "127.0.0.1")
        with node(names, pooled(targets), dns_cache_size=4) as made:
            until(lambda: counted(made, "evicted") >= 8, "names are forgotten")
            assert places(made, 2) == {one: 2}


def test_the_hosts_file_and_the_valid_ttl_are_obeyed(names: NameServer, tmp_path: Path) -> None:
    with upstreams("127.0.0.1") as (one,):
        port = int(one.rpartition(":")[2])
        hosts = tmp_path / "hosts"
        hosts.write_text("127.0.0.1 here.test # us\n")
        with node(names, direct("here.test", port), dns_hostsfile=hosts) as made:
            assert places(made, 2) == {one: 2}
            assert names.count("here.test") == 0
        names.leads("brief.test", "127.0.0.1", ttl=0)
        with node(names, direct("brief.test", port), dns_valid_ttl=600) as made:
            assert places(made, 4) == {one: 4}
            assert names.count("brief.test") == 1


def test_the_newer_settings_take_service_records_by_the_form_of_the_name(names: NameServer) -> None:
    with upstreams("127.0.0.1") as (one,):
        port = int(one.rpartition(":")[2])
        names.leads("n1.test", "127.0.0.1")
        names.serves("_shop._tcp.test", (1, 1, port, "n1.test"))
        newer = {"new_dns_client": "on", "resolver_address": names.address, "dns_resolver": ""}
        config = pooled(["_shop._tcp.test:9", f"n1.test:{port}"])
        with node(names, config, **newer) as made:
            assert places(made, 4) == {one: 4}
            assert names.asked["n1.test", "SRV"] == 0
            assert names.asked["_shop._tcp.test", "SRV"] > 0
