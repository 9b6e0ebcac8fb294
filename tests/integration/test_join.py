"""`twinplane join` and `twinplane health`, against a running installation, with a second node of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.installation import Client, Installation, eventually, installation, run_twinplane


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("up")) as found:
        yield found


def _say(*words: str, environ: dict[str, str] | None = None) -> tuple[int, str]:
    process = run_twinplane(*words, environ=environ)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output.decode()


def _join(up: Installation, prefix: Path, *more: str) -> tuple[int, str]:
    address = f"localhost:{up.ports['port']}"
    token, ca = str(up.data / "admin.token"), str(up.data / "ca.pem")
    return _say("join", "--address", address, "--token-file", token, "--ca", ca, "--prefix", str(prefix), *more)


def _certificates(up: Installation) -> int:
    path = f"/v2/control-planes/{up.control_plane_id()}/dp-client-certificates"
    return len(up.api("GET", path).json()["items"])


def test_a_joined_node_serves_what_its_control_plane_says(up: Installation, tmp_path: Path) -> None:
    before = _certificates(up)
    status, output = _join(up, tmp_path / "node")
    assert status == 0, output
    assert str(tmp_path / "node" / "kong.conf") in output
    assert _join(up, tmp_path / "node", "--control-plane", up.control_plane_id())[0] == 0, (
        "joining again changes nothing"
    )
    assert _certificates(up) == before + 1
    environ = {"KONG_PROXY_LISTEN": "127.0.0.1:0", "KONG_STATUS_LISTEN": "127.0.0.1:0"}
    node = run_twinplane("data-plane", "-c", str(tmp_path / "node" / "kong.conf"), environ=environ)
    try:
        path = f"/v2/control-planes/{up.control_plane_id()}"

        def both_in_sync() -> bool:
            expected = up.api("GET", f"{path}/expected-config-hash").json()["expected_hash"]
            nodes = up.api("GET", f"{path}/nodes").json()["items"]
            return [one["config_hash"] for one in nodes] == [expected, expected]

        assert eventually(both_in_sync)
    finally:
        node.terminate()
        node.communicate(timeout=30)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--control-plane", "nowhere", "the control plane `nowhere` does not exist"),
        ("--token-file", "/nowhere/token", "token-file: /nowhere/token: cannot be read"),
        ("--ca", "/nowhere/ca.pem", "ca"),
        ("--address", "localhost:1", "localhost:1: cannot be reached"),
    ],
)
def test_what_keeps_a_node_from_joining_is_said(
    up: Installation, tmp_path: Path, option: str, value: str, said: str
) -> None:
    status, output = _join(up, tmp_path / "node", option, value)
    assert status == 1
    assert said in output
    assert "Traceback" not in output
    assert not (tmp_path / "node" / "kong.conf").exists()


def test_health_asks_both_planes(up: Installation) -> None:
    conf = str(up.data / "node" / "kong.conf")
    assert _say("health", "control-plane", "--port", str(up.ports["port"])) == (0, "healthy\n")
    assert _say("health", "data-plane", "-c", conf) == (0, "healthy\n")
    assert _say("drain", "-c", conf, "--wait", "0") == (0, "draining; waiting 0 s\n")
    assert Client(up.ports["status_port"])("GET", "/status/ready").status == 503
    status, output = _say("health", "data-plane", "-c", conf)
    assert status == 1
    assert "does not answer that it is ready" in output


def test_what_is_wrong_with_draining_is_said(up: Installation) -> None:
    conf = str(up.data / "node" / "kong.conf")
    status, output = _say("drain", "-c", conf, "--wait", "soon")
    assert (status, "wait: expected a whole number" in output) == (2, True)
    status, output = _say("drain", "-c", conf, environ={"KONG_STATUS_LISTEN": "127.0.0.1:1"})
    assert (status, "cannot be told to drain" in output) == (1, True)
    status, output = _say("drain", "-c", conf, environ={"KONG_STATUS_LISTEN": "off"})
    assert (status, "status_listen is off" in output) == (1, True)


def test_health_of_nothing_is_an_error(tmp_path: Path) -> None:
    status, output = _say("health", "control-plane", "--port", "1")
    assert status == 1
    assert "port 1" in output


def test_help_names_every_command() -> None:
    status, output = _say("--help")
    assert status == 0
    assert all(name in output for name in ("up", "control-plane", "data-plane", "join", "health"))
