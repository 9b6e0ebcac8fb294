"""The bench can be asked: its words are understood, its peers speak every protocol, figures become one table."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from bench import latency, peers, tables
from bench.effort import FULL, QUICK, SMOKE
from bench.load import Load, Measured, refusal
from bench.processes import Proxy
from bench.questions import QUESTIONS, chosen
from bench.table import Case, rendered, side_by_side
from bench.upstream import upstream

ROOT = Path(__file__).parents[3]


def test_all_is_every_question_about_requests_and_nothing_else() -> None:
    assert chosen(["all"]) == [name for name, question in QUESTIONS.items() if question.is_about_requests]
    assert chosen([]) == list(QUESTIONS)
    assert chosen(["idle", "routes", "idle"]) == ["idle", "routes"]


def test_every_unknown_name_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="no such question: one, two; there are all, proxying"):
        chosen(["one", "idle", "two"])


def test_every_question_says_what_it_asks() -> None:
    assert all(question.says for question in QUESTIONS.values())


def test_an_effort_leaves_out_tables_that_are_too_large() -> None:
    assert FULL.sizes(10, 1_000_000) == [10, 1_000_000]
    assert QUICK.sizes(10, 100_000, 1_000_000) == [10, 100_000]
    assert SMOKE.sizes(10, 1_000) == [10]


def test_costs_are_related_to_the_base_of_the_same_question() -> None:
    proxy = Proxy("any", {}, [])
    cases = [
        Case("plain", "nginx", proxy, runs=[Measured(100, 10, 1, 0), Measured(90, 30, 1, 2), Measured(95, 20, 3, 0)]),
        Case("plain", "twinplane", proxy, runs=[Measured(80, 25, 1, 0)]),
        Case("full", "twinplane", proxy, runs=[Measured(80, 30, 1, 0)], kib_each=1.5),
        Case("plain", "envoy", None),
    ]
    assert rendered(cases, "nginx", "route")[2:] == [
        "| plain | nginx | 20.0 | 1.00 | 95 | 3.0 | 2 |  |",
        "| plain | twinplane | 25.0 | 1.25 | 80 | 1.0 | 0 |  |",
        "| full | twinplane | 30.0 | 1.50 | 80 | 1.0 | 0 | 1.50 |",
        "| plain | envoy | not installed |  |  |  |  |  |",
    ]


def test_latencies_are_percentiles_beside_those_of_nginx() -> None:
    taken = {"nginx": [*range(1_000, 100_001, 1_000)], "twinplane": [500] * 99 + [150_000]}
    assert latency.rendered(70, 10, taken) == [
        "| 70 | nginx | 10 | 51.00 | 100.00 | 100.00 | 1.00 |",
        "| 70 | twinplane | 10 | 0.50 | 150.00 | 150.00 | 1.50 |",
    ]
    assert latency.rendered(30, 10, {"twinplane": []}) == ["| 30 | twinplane | 0 | 0.00 | 0.00 | 0.00 |  |"]


def test_what_a_proxy_does_not_speak_is_said_and_not_asked() -> None:
    rows = side_by_side([Case("gRPC", "twinplane", Proxy("twinplane", {}, []), Load("grpc"))], SMOKE)
    assert rows[2:] == ["| gRPC | twinplane | not supported |  |  |  |  |"]


@pytest.mark.parametrize("flavor", tables.FLAVORS)
def test_a_table_of_routes_has_its_size_and_the_one_that_is_asked_for(tmp_path: Path, flavor: str) -> None:
    table = orjson.loads(tables.routes_table(tmp_path / "table.json", 9, 10, flavor).read_bytes())
    routes = table["routes"]
    assert len(routes) == len({each["id"] for each in routes}) == 10
    assert routes[5]["name"] == "bench"
    assert ("expression" in routes[5]) == (routes[5]["paths"] is None) == (flavor == "expressions")


def test_a_table_of_consumers_gives_each_a_key(tmp_path: Path) -> None:
    table = orjson.loads(tables.consumers_table(tmp_path / "table.json", 9, 10).read_bytes())
    assert len({each["key"] for each in table["keyauth_credentials"]}) == 10
    assert {each["consumer"] for each in table["keyauth_credentials"]} == {each["id"] for each in table["consumers"]}


def test_peers_serve_what_they_are_compared_in(tmp_path: Path) -> None:
    """Each peer that this machine has speaks every protocol; gRPC with its trailer."""
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin") is None:
        pytest.skip("nginx is not installed")
    with upstream(tmp_path) as up, peers.peers(tmp_path, up) as started:
        for name, proxy in started.items():
            if proxy is None:
                continue
            assert _status(proxy.ports["http"], "/bytes/65536") == "200 65536", name
            assert _status(proxy.ports["tls"], "/", "--insecure", scheme="https") == "200 1024", name
            sent = ("--data-binary", "x" * 1000)
            assert _status(proxy.ports["http"], "/drop", *sent) == "200 1024", name
            if shutil.which("nghttp"):
                assert [refusal(proxy, Load(protocol)) for protocol in ("h2", "h2c", "grpc")] == [""] * 3, name


def test_the_command_asks_a_question_of_a_real_node() -> None:
    """The smoke of one question: all peers and a node, started and asked by the command itself."""
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin") is None:
        pytest.skip("nginx is not installed")
    said = subprocess.run(
        [sys.executable, "-m", "bench", "idle", "--smoke"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'python'}:{ROOT}", "PATH": "/usr/bin:/bin:/usr/sbin"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    rows = [line.split("|") for line in said.stdout.splitlines() if "| twinplane |" in line]
    assert [(row[1].strip(), row[4].strip()) for row in rows] == [("50 HTTP/1.1", "50"), ("50 TLS", "50")]


def _status(port: int, path: str, *options: str, scheme: str = "http") -> str:
    shown = "%{http_code} %{size_download}"
    command = ["curl", "-s", "-m", "30", "-o", "/dev/null", "-w", shown, *options, f"{scheme}://127.0.0.1:{port}{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
