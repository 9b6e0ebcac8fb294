"""The Admin API of a running DB-less node: a configuration is served whole or not at all, and the caller is told."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.dbless import DblessNode, dbless_node
from tests.integration.installation import Answer, Client, Upstream, eventually, free_ports, run_twinplane

PAGE = (Path(__file__).parents[2] / "docs/guides/db-less.md").read_text()


def document(*paths: str, **more: Any) -> dict[str, Any]:
    """Routes that answer by themselves."""
    answers = {"name": "request-termination", "config": {"status_code": 418}}
    routes = [{"name": f"r{path.replace('/', '-')}", "paths": [path], "plugins": [answers]} for path in paths]
    return {"_format_version": "3.0", "services": [{"name": "s", "host": "h.test", "routes": routes}], **more}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DblessNode]:
    with dbless_node(tmp_path_factory.mktemp("node")) as found:
        yield found


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


def post(node: DblessNode, body: Any, query: str = "", **headers: str) -> Answer:
    return node.admin("POST", f"/config{query}", body, headers or None)


def test_what_is_answered_with_201_is_served(node: DblessNode) -> None:
    for round_ in range(20):
        assert post(node, document(f"/round-{round_}")).status == 201
        assert node.proxy("GET", f"/round-{round_}").status == 418
        assert node.proxy("GET", f"/round-{round_ - 1}").status == 404
        assert [row["paths"] for row in node.admin("GET", "/routes").json()["data"]] == [[f"/round-{round_}"]]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"services": [{"name": "x"}]}, "required field missing"),
        ({"services": [{"host": "x", "created_at": 10**23}]}, "value should be between"),
        ({"routes": [{"name": "x", "paths": ["~/("]}]}, "missing closing parenthesis"),
        ({"routes": [{"name": "x", "paths": ["/x"], "service": "nobody"}]}, "nobody"),
    ],
)
def test_a_bad_configuration_leaves_the_old_one_served(node: DblessNode, bad: Any, told: str) -> None:
    good = document("/good")
    assert post(node, good).status == 201
    before = node.admin("GET", "/config").json()
    for query in ("", "?flatten_errors=1"):
        answer = post(node, {**document("/bad"), **bad}, query)
        assert (answer.status, answer.json()["code"]) == (400, 14)
    assert told in json.dumps(post(node, {**document("/bad"), **bad}).json())
    assert node.admin("GET", "/config").json() == before
    assert (node.proxy("GET", "/good").status, node.proxy("GET", "/bad").status) == (418, 404)


def test_what_cannot_be_served_as_asked_is_told(node: DblessNode) -> None:
    plugin = {"name": "ldap-auth", "config": {"ldap_host": "l.test", "base_dn": "d", "attribute": "a"}}
    service = {"name": "other", "host": "h.test", "routes": [{"name": "o", "paths": ["/other"], "plugins": [plugin]}]}
    whole = document("/fine")
    whole["services"].append(service)
    answer = post(node, whole)
    assert (answer.status, answer.headers["X-Twinplane-Issues"]) == (201, "1")
    assert "ldap-auth" in answer.headers["Warning"]
    (issue,) = node.admin("GET", "/config/issues").json()["data"]
    assert issue["plugin"] == "ldap-auth"
    assert (node.proxy("GET", "/fine").status, node.proxy("GET", "/other").status) == (418, 503)
    clean = post(node, document("/fine"))
    assert (clean.headers["Warning"], clean.headers["X-Twinplane-Issues"]) == (None, None)
    assert node.admin("GET", "/config/issues").json() == {"data": []}


def test_posts_at_once_are_served_one_after_the_other_or_told_to_come_again(node: DblessNode) -> None:
    start = threading.Barrier(6)

    def posted(number: int) -> tuple[int, Answer]:
        start.wait(30)
        return number, post(node, document(f"/n{number}", *(f"/n{number}/{each}" for each in range(300))))

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(posted, range(6)))
    assert {answer.status for _, answer in answers} <= {201, 429}
    assert all(answer.headers["Retry-After"] == "1" for _, answer in answers if answer.status == 429)
    taken = [number for number, answer in answers if answer.status == 201]
    assert taken
    # Of whole configurations one is there, and it is the one that is shown.
    shown = {row["paths"][0].split("/")[1] for row in node.admin("GET", "/routes?size=1000").json()["data"]}
    assert len(shown) == 1
    served = [number for number in range(6) if node.proxy("GET", f"/n{number}").status == 418]
    assert [f"n{number}" for number in served] == list(shown)
    assert served[0] in taken


def test_a_configuration_can_be_read_and_posted_again(node: DblessNode) -> None:
    consumers = [{"username": "alice", "basicauth_credentials": [{"username": "a", "password": "p"}], "tags": ["t"]}]
    upstreams = [{"name": "u", "targets": [{"target": "127.0.0.1:1", "weight": 7}]}]
    assert post(node, document("/again", consumers=consumers, upstreams=upstreams)).status == 201
    text = node.admin("GET", "/config").json()["config"]
    assert post(node, text.encode(), **{"Content-Type": "application/yaml"}).status == 201
    again = yaml.safe_load(node.admin("GET", "/config").json()["config"])
    before = yaml.safe_load(text)
    # When it was last changed is the only news.
    for rows in (*before.values(), *again.values()):
        for row in rows if isinstance(rows, list) else ():
            row.pop("updated_at", None)
    assert again == before


def test_the_health_of_targets_is_that_of_the_balancer(node: DblessNode) -> None:
    checks = {"passive": {"unhealthy": {"tcp_failures": 1}}}
    targets = [{"target": "127.0.0.1:1"}, {"target": "127.0.0.1:2"}]
    upstreams = [{"name": "u", "targets": targets, "healthchecks": checks}, {"name": "bare"}]
    assert post(node, document("/h", upstreams=upstreams)).status == 201

    def fares() -> dict[str, str]:
        return {row["target"]: row["health"] for row in node.admin("GET", "/upstreams/u/health").json()["data"]}

    eventually(lambda: fares() == {"127.0.0.1:1": "HEALTHY", "127.0.0.1:2": "HEALTHY"})
    assert node.admin("PUT", "/upstreams/u/targets/127.0.0.1:1/unhealthy").status == 204
    eventually(lambda: fares() == {"127.0.0.1:1": "UNHEALTHY", "127.0.0.1:2": "HEALTHY"})
    whole = node.admin("GET", "/upstreams/u/health?balancer_health=1").json()["data"]
    assert (whole["health"], whole["details"]["weight"]) == (
        "HEALTHY",
        {"total": 200, "available": 100, "unavailable": 100},
    )
    assert node.admin("PUT", "/upstreams/u/targets/127.0.0.1:1/127.0.0.1:1/healthy").status == 204
    eventually(lambda: fares() == {"127.0.0.1:1": "HEALTHY", "127.0.0.1:2": "HEALTHY"})
    assert node.admin("PUT", "/upstreams/u/targets/nobody/healthy").status == 404
    assert node.admin("GET", "/upstreams/bare/health").json()["data"] == []
    assert node.admin("GET", "/upstreams/nobody/health").status == 404
    # The status port sees the same, and whom it is about as well.
    assert node.status("GET", "/upstreams/bare/health").json()["data"] == []
    assert node.status("GET", "/upstreams/bare/targets").status == 200
    assert node.status("GET", "/upstreams/nobody/targets").status == 404
    assert node.status("GET", "/upstreams/u/targets/127.0.0.1:2").json()["health"] == "HEALTHY"
    assert node.status("GET", "/upstreams/u/targets/nobody").status == 404


def test_answers_that_proxy_cache_keeps_are_shown_and_forgotten(node: DblessNode, upstream: Upstream) -> None:
    cache = {"name": "proxy-cache", "config": {"strategy": "memory", "content_type": ["application/json"]}}
    routes = [{"name": "r", "paths": ["/cached"]}]
    service = {"name": "s", "url": f"http://127.0.0.1:{upstream.port}", "routes": routes, "plugins": [cache]}
    assert post(node, {"_format_version": "3.0", "services": [service], "plugins": [{"name": "cors"}]}).status == 201
    rows = {row["name"]: row["id"] for row in node.admin("GET", "/plugins").json()["data"]}

    def asked(path: str) -> tuple[str, str]:
        headers = node.proxy("GET", path).headers
        return headers["X-Cache-Status"], headers["X-Cache-Key"]

    for place in ("/proxy-cache/{}", f"/proxy-cache/{rows['proxy-cache']}/caches/{{}}"):
        assert asked("/cached/one")[0] == "Miss"
        assert asked("/cached/two")[0] == "Miss"
        status, key = asked("/cached/one")
        assert status == "Hit"
        kept = node.admin("GET", place.format(key)).json()
        assert (kept["status"], kept["body"], kept["body_len"]) == (200, '{"echo":"ok"}', 13)
        assert node.admin("DELETE", place.format(key)).status == 204
        assert [node.admin(method, place.format(key)).status for method in ("GET", "DELETE")] == [404, 404]
        assert (asked("/cached/one")[0], asked("/cached/two")[0]) == ("Miss", "Hit")
        assert node.admin("DELETE", "/proxy-cache").status == 204
    assert (asked("/cached/one")[0], asked("/cached/two")[0]) == ("Miss", "Miss")
    key = asked("/cached/one")[1]
    assert node.admin("GET", f"/proxy-cache/{rows['cors']}/caches/{key}").status == 404
    assert node.admin("GET", "/proxy-cache/00000000-0000-4000-8000-000000000001/caches/x").status == 404


def test_a_large_configuration_is_taken_and_read_in_pages(node: DblessNode) -> None:
    routes = [{"name": f"r{number}", "paths": [f"/large/{number}"]} for number in range(10_000)]
    whole = {"_format_version": "3.0", "services": [{"name": "s", "host": "h.test", "routes": routes}]}
    answer = post_slowly(node, whole)
    assert (answer.status, len(answer.json()["routes"])) == (201, 10_000)
    seen: set[str] = set()
    following = "/services/s/routes?size=1000"
    while following:
        page = node.admin("GET", following).json()
        seen |= {row["name"] for row in page["data"]}
        following = page["next"] and f"{page['next']}&size=1000"
    assert len(seen) == 10_000
    assert post(node, document("/small")).status == 201


def post_slowly(node: DblessNode, body: Any) -> Answer:
    """Post with curl, which asks before it sends and waits as long as it takes."""
    done = subprocess.run(
        ["curl", "-s", "-m", "240", "-w", "\n%{http_code}", "-H", "Content-Type: application/json",
         "--data-binary", "@-", f"http://127.0.0.1:{node.admin.port}/config"],
        input=json.dumps(body).encode(), capture_output=True, check=True,
    )  # fmt: skip
    text, _, status = done.stdout.rpartition(b"\n")
    return Answer(int(status), {}, text)  # type: ignore[arg-type]


def test_a_body_in_pieces_is_put_together_and_too_long_a_one_refused(node: DblessNode) -> None:
    text = json.dumps(document("/pieces")).encode()
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(text[at : at + 50]), text[at : at + 50]) for at in range(0, len(text), 50))
    head = b"POST /config HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert b" 201 " in said(
        node, head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + pieces + b"0\r\n\r\n"
    )
    assert node.proxy("GET", "/pieces").status == 418
    for bad, status in (
        (b"Content-Length: 99999999\r\n\r\n", b" 413 "),
        (b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", b" 413 "),
        (b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", b" 400 "),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", b" 400 "),
    ):
        assert status in said(node, head + bad).split(b"\r\n")[0] + b" "


def said(node: DblessNode, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", node.admin.port), timeout=30) as connection:
        connection.sendall(request)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_callers_that_say_nothing_are_let_go_and_keep_nobody_out(node: DblessNode) -> None:
    silent = [socket.create_connection(("127.0.0.1", node.admin.port), timeout=60) for _ in range(100)]
    for connection in silent:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: local")
    assert node.admin("GET", "/services").status == 200
    for connection in silent:
        # Its end comes by itself: nothing was sent that could be answered.
        with connection, contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1:8001"])
def test_only_loopback_names_are_answered_without_a_token(node: DblessNode, host: str) -> None:
    assert node.admin("GET", "/services", headers={"Host": host}).status == 403
    assert node.admin("GET", "/services", headers={"Origin": "https://evil.example"}).status == 403
    assert node.admin("POST", "/config", document("/x"), {"Host": host}).status == 403
    # By its head: the answer does not wait for the body.
    head = f"POST /config HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 9000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", node.admin.port), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 403 ")
    counted = re.search(r'twinplane_port_refused_total\{port="admin",reason="403"\} (\d+)', scrape(node))
    assert counted is not None
    assert int(counted[1]) >= 4


def test_settings_are_told_in_the_types_of_kong(node: DblessNode) -> None:
    told = node.admin("GET", "/").json()["configuration"]
    assert told["proxy_listen"] == [f"127.0.0.1:{node.proxy.port}"]
    assert (told["plugins"], told["client_ssl"], told["database"]) == (["bundled"], False, "off")


def scrape(node: DblessNode) -> str:
    by_status, by_admin = (client("GET", "/metrics") for client in (node.status, node.admin))
    assert by_admin.headers["Content-Type"] == by_status.headers["Content-Type"]
    return by_admin.body.decode()


def test_the_node_has_loaded_neither_sql_nor_a_web_framework(node: DblessNode) -> None:
    maps = Path(f"/proc/{node.process.pid}/maps").read_text()
    assert not re.search(r"sqlalchemy|httptools|duckdb", maps)
    children = Path(f"/proc/{node.process.pid}/task/{node.process.pid}/children")
    if not children.exists():
        pytest.skip("this kernel does not list the children of a process")
    assert children.read_text() == "", "it serves by itself, so nothing can be left behind when it is killed"


def test_a_port_that_was_asked_for_and_is_taken_ends_the_start(node: DblessNode, tmp_path: Path) -> None:
    environ = {
        "KONG_ROLE": "traditional", "KONG_PREFIX": str(tmp_path / "prefix"), "KONG_PROXY_LISTEN": "127.0.0.1:0",
        "KONG_STATUS_LISTEN": "off", "KONG_ADMIN_LISTEN": f"127.0.0.1:{node.admin.port}",
    }  # fmt: skip
    process = run_twinplane("data-plane", environ=environ)
    try:
        output = process.communicate(timeout=120)[0].decode()
    finally:
        process.kill()
    assert process.returncode not in (0, -9)
    assert f"admin_listen 127.0.0.1:{node.admin.port}: cannot be listened on" in output


def test_what_was_posted_outlives_the_node_and_what_is_damaged_does_not(tmp_path: Path) -> None:
    with dbless_node(tmp_path) as node:
        assert node.status("GET", "/status/ready").status == 503
        assert node.proxy("GET", "/kept").status == 404
        keys = [{"username": "c", "keyauth_credentials": [{"key": "k"}]}]
        first = post(node, document("/first")).json()
        kept = post(node, document("/kept", consumers=keys)).json()
        assert first != kept
        node.restart()
        assert node.status("GET", "/status/ready").status == 200
        assert node.proxy("GET", "/kept").status == 418
        # Ids that were drawn by lot are the same again.
        assert node.admin("GET", "/key-auths").json()["data"] == list(kept["keyauth_credentials"].values())
        file = node.prefix / "declared.json.gz"
        assert file.stat().st_mode & 0o777 == 0o600
        file.write_bytes(file.read_bytes()[:-20])
        node.restart()
        assert (node.proxy("GET", "/first").status, node.proxy("GET", "/kept").status) == (418, 404)
        issues = {issue["code"] for issue in node.admin("GET", "/config/issues").json()["data"]}
        assert issues == {"cache_damaged"}
        # What the disk does not take is served, and told.
        (node.prefix / "declared.json.gz.new").mkdir()
        unkept = post(node, document("/unkept"))
        assert (unkept.status, node.proxy("GET", "/unkept").status) == (201, 418)
        assert "declared.json.gz" in unkept.headers["Warning"]
        (node.prefix / "declared.json.gz.new").rmdir()
        assert post(node, document("/first")).headers["Warning"] is None
        declared = tmp_path / "kong.json"
        declared.write_text(json.dumps(document("/file")))
        node.restart(declarative_config=declared)
        assert (node.proxy("GET", "/file").status, node.proxy("GET", "/first").status) == (418, 404)
        assert post(node, document("/posted")).status == 201
        declared.write_text(json.dumps(document("/again")))
        node.reload()
        eventually(lambda: node.proxy("GET", "/again").status == 418)
        eventually(lambda: [row["paths"] for row in node.admin("GET", "/routes").json()["data"]] == [["/again"]])


def test_what_was_posted_and_is_refused_at_the_next_start_gives_way(tmp_path: Path) -> None:
    with dbless_node(tmp_path, {"MYKEY": "127.0.0.1"}) as node:
        secret = {"name": "datadog", "config": {"host": "{vault://env/mykey}"}}
        assert post(node, document("/good")).status == 201
        assert post(node, document("/secret", plugins=[secret])).status == 201
        assert node.proxy("GET", "/secret").status == 418
        node.environ = {}
        node.restart()
        assert "{vault://env/mykey} leads nowhere" in _refusal(node)
        assert (node.proxy("GET", "/good").status, node.proxy("GET", "/secret").status) == (418, 404)
        assert [row["paths"] for row in node.admin("GET", "/routes").json()["data"]] == [["/good"]]
        # Without one before it there is nothing to serve, but still somebody to post to.
        (node.prefix / "declared.json.gz.1").unlink()
        node.restart()
        assert "starts without a configuration" in _refusal(node)
        assert (node.status("GET", "/status/ready").status, node.proxy("GET", "/good").status) == (503, 404)
        assert node.admin("GET", "/routes").json()["data"] == []
        assert post(node, document("/mended")).status == 201
        assert node.proxy("GET", "/mended").status == 418
        assert node.status("GET", "/status").json()["conditions"] == []


def _refusal(node: DblessNode) -> str:
    (condition,) = node.status("GET", "/status").json()["conditions"]
    assert condition["code"] == "declarative_config_refused"
    return str(condition["message"])


def test_a_token_is_asked_for_where_there_is_one(tmp_path: Path) -> None:
    token = "0123456789abcdef"
    (port,) = free_ports(1)
    page = "http://ui.test"
    with dbless_node(tmp_path, admin_token=token, admin_listen=f"127.0.0.1:{port} ssl", admin_origins=page) as node:
        certificate = node.prefix / "ssl" / "admin-kong-default.crt"
        admin = Client(port, ca=certificate)
        for headers in ({}, {"Kong-Admin-Token": "wrong"}, {"Authorization": "Bearer 0"}):
            assert admin("GET", "/services", headers=headers).status == 401
            assert admin("POST", "/config", document("/x"), headers).status == 401
        for headers in ({"Kong-Admin-Token": token}, {"Authorization": f"Bearer {token}", "Host": "kong-admin.svc"}):
            assert admin("GET", "/services", headers=headers).status == 200
        assert token not in json.dumps(admin("GET", "/", headers={"Kong-Admin-Token": token}).json())
        # As a browser goes about it: a question first, without the token; then the request of the page.
        question = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "kong-admin-token"}
        asked = admin("OPTIONS", "/services", headers={"Origin": page, **question})
        assert (asked.status, asked.headers["Access-Control-Allow-Headers"]) == (204, "kong-admin-token")
        assert "GET" in asked.headers["Access-Control-Allow-Methods"]
        for given, status in ((token, 200), ("wrong", 401)):
            answer = admin("GET", "/services", headers={"Origin": page, "Kong-Admin-Token": given})
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, page)
        foreign = admin("OPTIONS", "/services", headers={"Origin": "http://evil.test", **question})
        assert (foreign.status, foreign.headers["Access-Control-Allow-Origin"]) == (403, None)


def test_an_access_log_that_nobody_reads_is_told_and_does_not_hold_up_the_end(tmp_path: Path) -> None:
    pipe = tmp_path / "access"
    os.mkfifo(pipe)
    with dbless_node(tmp_path, proxy_access_log=pipe) as node:
        assert node.proxy("GET", "/none").status == 404
        eventually(
            lambda: "access_log_unwritable" in json.dumps(node.admin("GET", "/config/issues").json()), seconds=60
        )
        node.process.terminate()
        node.process.communicate(timeout=120)
        assert node.process.returncode == 0


def test_the_page_can_be_followed(tmp_path: Path) -> None:
    """The files of the guide, and its commands, on ports of their own."""
    files = re.findall(r"`([\w.]+)`:\n\n```(?:ini|yaml)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["kong.conf", "kong.yml", "next.yml"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    commands = re.findall(r"^curl .*$", PAGE, re.MULTILINE)
    assert len(commands) == 4
    given = dict(line.split(" = ") for line in (tmp_path / "kong.conf").read_text().splitlines())
    listened = {name: value for name, value in given.items() if name.endswith("_listen")}
    assert listened == {
        "proxy_listen": "127.0.0.1:8000", "status_listen": "127.0.0.1:8007", "admin_listen": "127.0.0.1:8001",
    }  # fmt: skip
    own = {name: value for name, value in given.items() if name not in listened}
    own |= {name: str(tmp_path / value) for name, value in own.items() if value.startswith("./")}
    with dbless_node(tmp_path, **own) as node:
        printed = []
        for command in commands:
            own_ports = command.replace(":8001/", f":{node.admin.port}/").replace(":8000/", f":{node.proxy.port}/")
            done = subprocess.run(own_ports, shell=True, check=True, capture_output=True, cwd=tmp_path, timeout=60)
            printed.append(done.stdout.decode())
        assert json.loads(printed[1])["data"][0]["name"] == "orders"
        assert "Not today" in printed[3]
