"""`twinplane up` as a newcomer meets it: ready, proxied, measured, refused where it must be, stopped cleanly."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.installation import Client, Installation, Upstream, eventually, installation, run_twinplane


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("up")) as found:
        yield found


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


def test_the_platform_is_healthy_without_a_token(up: Installation) -> None:
    answer = Client(up.ports["port"], ca=up.data / "ca.pem")("GET", "/health")
    assert answer.status == 200


def test_the_token_is_for_its_owner_alone_and_not_in_the_store(up: Installation) -> None:
    path = up.data / "admin.token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = up.token.encode()
    assert len(secret) >= 32
    kept = [file for file in up.data.iterdir() if file.is_file() and file.name != "admin.token"]
    assert not [file.name for file in kept if secret in file.read_bytes()]


def test_ports_json_names_ports_and_processes(up: Installation) -> None:
    document = json.loads((up.data / "ports.json").read_text())
    pids = document["pids"]
    assert len(set(pids.values())) == 3
    for role in ("control_plane", "data_plane"):
        command = Path(f"/proc/{pids[role]}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        assert f"twinplane {role.replace('_', '-')}" in command
        assert str(up.data) in command


def test_wrong_missing_and_malformed_tokens_are_refused_in_the_faces_own_form(up: Installation) -> None:
    bare = Client(up.ports["port"], ca=up.data / "ca.pem")
    for header in ({}, {"Authorization": "Bearer kpat_wrong"}, {"Authorization": "Basic x"}):
        answer = bare("GET", "/v2/control-planes", headers=header)
        assert answer.status == 401
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert answer.json()["status"] == 401
    core = bare("GET", f"/v2/control-planes/{up.control_plane_id()}/core-entities/services")
    assert core.status == 401
    assert core.json()["message"] == "Unauthorized"


def test_a_change_is_served_and_the_request_accounted_for(up: Installation, upstream: Upstream) -> None:
    assert up.admin("PUT", "/services/seen", {"url": f"http://127.0.0.1:{upstream.port}/up"}).status == 200
    assert up.admin("PUT", "/services/seen/routes/seen", {"paths": ["/seen"]}).status == 200
    eventually(lambda: up.proxy("GET", "/seen/x?token=hidden").status == 200)
    assert upstream.seen[-1][1] == "/up/x?token=hidden"
    found = eventually(lambda: [each for each in up.requests() if each["request_uri"] == "/seen/x"])
    assert found[0]["response_http_status"] in (200, "200")


def test_the_node_is_listed_connected_and_in_sync(up: Installation) -> None:
    control_plane = f"/v2/control-planes/{up.control_plane_id()}"

    def in_sync() -> bool:
        expected = up.api("GET", f"{control_plane}/expected-config-hash").json()["expected_hash"]
        nodes = up.api("GET", f"{control_plane}/nodes").json()["items"]
        return [node["config_hash"] for node in nodes] == [expected] and time.time() - nodes[0]["last_ping"] < 60

    eventually(in_sync)


def test_the_link_needs_a_certificate(up: Installation) -> None:
    path = "/v1/outlet?node_id=00000000-0000-4000-8000-000000000000&node_hostname=h&node_version=3.9.3"
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    forged = {"Client-Cert": ":Zm9yZ2Vk:", "Twinplane-Sni": "x.us.cp0.twinplane.localhost"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    try:
        answer = up.api("GET", path, headers={**upgrade, **key, **forged})
    except OSError:
        return
    assert answer.status in (400, 401)


def test_a_second_up_on_the_same_directory_is_refused(up: Installation) -> None:
    second = run_twinplane("up", "--data", str(up.data), "--port", "0")
    output, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert b"another process works in this directory" in output


def test_ports_in_use_are_all_named_before_anything_starts(up: Installation, tmp_path: Path) -> None:
    taken = str(up.ports["port"]), str(up.ports["status_port"])
    other = run_twinplane(
        "up", "--data", str(tmp_path), "--port", taken[0], "--status-port", taken[1], "--admin-port", "0",
        "--proxy-port", "0", "--proxy-ssl-port", "0",
    )  # fmt: skip
    output, _ = other.communicate(timeout=30)
    assert other.returncode == 1
    assert all(port.encode() in output for port in taken)
    assert not (tmp_path / "ca.pem").exists()


def test_the_admin_api_answers_loopback_names_only(up: Installation) -> None:
    assert up.admin("GET", "/services", headers={"Host": "evil.example"}).status in (400, 403, 421)
    answer = up.admin("GET", "/services", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_child_that_dies_is_started_again(up: Installation) -> None:
    before = json.loads((up.data / "ports.json").read_text())["pids"]["data_plane"]
    os.kill(before, signal.SIGKILL)
    eventually(lambda: json.loads((up.data / "ports.json").read_text())["pids"]["data_plane"] not in (before, None))
    eventually(lambda: up.status("GET", "/status/ready").status == 200)


def test_up_stops_everything_it_started_and_starts_again_on_the_same_data(tmp_path: Path) -> None:
    with installation(tmp_path) as first:
        token, pids = first.token, first.ports["pids"]
        assert first.admin("PUT", "/services/kept", {"host": "kept.example"}).status == 200
    assert first.process.returncode == 0
    for pid in pids.values():
        assert not Path(f"/proc/{pid}").exists()
    assert not (first.data / "ports.json").exists()
    with installation(tmp_path) as second:
        assert second.token == token
        assert second.admin("GET", "/services/kept").json()["host"] == "kept.example"


def test_children_end_with_a_killed_parent(tmp_path: Path) -> None:
    with installation(tmp_path) as found:
        pids = [pid for name, pid in found.ports["pids"].items() if name != "up"]
        found.process.kill()
        found.process.wait()
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), seconds=40)


def test_a_data_directory_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    import sqlite3

    with installation(tmp_path) as found:
        data = found.data
    store = next(path for path in data.iterdir() if path.suffix in {".db", ".sqlite", ".sqlite3"})
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    again = run_twinplane("control-plane", "--data", str(data), "--port", "0")
    output, _ = again.communicate(timeout=30)
    assert again.returncode == 1
    assert b"newer" in output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every directory")
def test_an_unreadable_data_directory_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o000)
    try:
        process = run_twinplane("up", "--data", str(tmp_path))
        output, _ = process.communicate(timeout=30)
    finally:
        tmp_path.chmod(0o700)
    assert process.returncode == 1
    assert b"cannot be" in output


def test_curl_as_in_the_readme(up: Installation) -> None:
    ca, token = up.data / "ca.pem", up.data / "admin.token"
    demo = f"http://127.0.0.1:{up.ports['status_port']}/status"
    base = f"http://localhost:{up.ports['admin_port']}/services/demo"
    put = f"curl -sf -X PUT {base} -d url={demo} && curl -sf -X PUT {base}/routes/demo -d 'paths[]=/demo'"
    listed = f'curl -sf --cacert {ca} -H "Authorization: Bearer $(cat {token})" https://localhost:{up.ports["port"]}/v2/control-planes'
    for command in (listed, put):
        assert subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode == 0, command
    called = f"curl -sf --cacert {ca} https://localhost:{up.ports['proxy_ssl_port']}/demo"
    eventually(lambda: subprocess.run(["sh", "-c", called], capture_output=True, check=False).returncode == 0)
