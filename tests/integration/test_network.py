"""The running system does what `docs/network.md` says: ports, host names, where a client certificate is asked for."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.installation import Installation, installation, run_twinplane

from twinplane.settings import CONTROL_PLANE, NODE, UP, read_listeners
from twinplane.settings.host_names import HostNames
from twinplane.settings.network import (
    ADMIN_PORT,
    AUDIT_PORT,
    CLOUD,
    CONTROL_PLANE_PORT,
    HOSTS,
    NODE_ADMIN_PORT,
    PROXY_PORT,
    PROXY_TLS_PORT,
    STATUS_PORT,
    HostKind,
)

DOMAIN = "twinplane.localhost"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("network")) as found:
        yield found


def host(kind: HostKind, up: Installation) -> str:
    endpoint = up.api("GET", "/v2/control-planes").json()["data"][0]["config"]["control_plane_endpoint"]
    prefix = endpoint.removeprefix("https://").partition(".")[0]
    return kind.host(domain=DOMAIN, region="us", prefix=prefix)


def ask(up: Installation, name: str, path: str, accept: str = "*/*") -> tuple[int, bytes]:
    """GET over TLS with `name` as server name and `Host`."""
    context = ssl.create_default_context(cafile=str(up.data / "ca.pem"))
    port = up.ports["port"]
    raw = socket.create_connection(("127.0.0.1", port), 10)
    connection = http.client.HTTPSConnection(name, port, context=context)
    connection.sock = context.wrap_socket(raw, server_hostname=name)
    connection.request("GET", path, headers={"Host": f"{name}:{port}", "Accept": accept})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def defaults(table: object) -> dict[str, str]:
    return {setting.name: setting.default for setting in table}  # type: ignore[attr-defined]


def test_default_ports_are_those_of_the_page() -> None:
    proxy, secure = read_listeners(defaults(NODE)["proxy_listen"])
    (status,) = read_listeners(defaults(NODE)["status_listen"])
    assert (proxy.port, proxy.tls) == (PROXY_PORT.number, False)
    assert (secure.port, secure.tls) == (PROXY_TLS_PORT.number, True)
    assert (status.port, status.address) == (STATUS_PORT.number, "127.0.0.1")
    admin, admin_tls = read_listeners(defaults(NODE)["admin_listen"])
    assert (admin.port, admin.address, admin_tls.address) == (NODE_ADMIN_PORT.number, "127.0.0.1", "127.0.0.1")
    assert defaults(CONTROL_PLANE)["port"] == str(CONTROL_PLANE_PORT.number)
    assert defaults(UP)["admin-port"] == str(ADMIN_PORT.number)
    assert defaults(UP)["audit-port"] == "off"
    assert defaults(CONTROL_PLANE)["audit-listen"] == f"0.0.0.0:{AUDIT_PORT.number}"


def test_ports_of_this_machine_only_are_closed_to_others(up: Installation) -> None:
    for name in ("port", "admin_port", "status_port"):
        listening = subprocess.run(["ss", "-Hltn", f"sport = :{up.ports[name]}"], capture_output=True, text=True)
        if listening.returncode != 0:
            pytest.skip("ss is not installed")
        assert all("127.0.0.1:" in line or "[::1]:" in line for line in listening.stdout.splitlines())


@pytest.mark.parametrize("kind", HOSTS, ids=lambda kind: kind.name)
def test_each_host_is_certified_and_answers_as_the_page_says(kind: HostKind, up: Installation) -> None:
    status, body = ask(up, host(kind, up), "/v2/control-planes")
    if kind.served:
        # The console leads people to where they sign in.
        assert status in ((303,) if kind is CLOUD else (401, 404)), body
    else:
        assert status == 404
        assert json.loads(body)["detail"] == f"The service [{kind.name}] is not enabled on this server"
        status, page = ask(up, host(kind, up), "/", accept="text/html")
        assert (status, b"is not enabled" in page, page[:9]) == (404, True, b"<!doctype")


def test_a_name_of_nobody_is_told_so(up: Installation) -> None:
    status, _ = ask(up, "localhost", "/v2/control-planes")
    assert status == 401
    client = up.api
    answer = client("GET", "/v2/control-planes", headers={"Host": "nobody.example"})
    assert answer.status == 404
    assert "nobody.example" in answer.json()["detail"]


@pytest.mark.parametrize("kind", HOSTS, ids=lambda kind: kind.name)
def test_a_client_certificate_is_asked_for_where_the_page_says_so(kind: HostKind, up: Installation) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    name = host(kind, up)
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{up.ports['port']}", "-servername", name]
    shown = subprocess.run(command, input="", capture_output=True, text=True, timeout=20).stdout
    assert "BEGIN CERTIFICATE" in shown
    assert ("Requested Signature Algorithms" in shown) == kind.client_certificate


def allowlist(up: Installation, *words: str) -> list[dict[str, Any]]:
    address = ("--address", f"localhost:{up.ports['port']}", "--ca", str(up.data / "ca.pem"))
    token = ("--token-file", str(up.data / "admin.token"))
    process = run_twinplane("network", "allowlist", *address, *token, *words, "-o", "json")
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    rules: list[dict[str, Any]] = json.loads(text)["rules"]
    return rules


def test_the_allowlist_is_what_the_running_system_listens_on(up: Installation) -> None:
    kic = {"name": "ingress", "cluster_type": "CLUSTER_TYPE_K8S_INGRESS_CONTROLLER"}
    assert up.api("POST", "/v2/control-planes", kic).status == 201
    rules = allowlist(up, "--control-plane", "default,ingress", "--audit-port", "off")
    out = [rule for rule in rules if rule["direction"] == "out"]
    kinds = set()
    for rule in out:
        assert (rule["port"], rule["transport"]) == (up.ports["port"], "TCP")
        assert "*" not in rule["host"]
        found = HostNames((DOMAIN,)).read(rule["host"])
        assert found is not None
        assert found.kind is not None
        kinds.add(found.kind)
        assert found.kind.client_certificate == rule["client_certificate"]
        # The certificate covers the name, and somebody answers to it.
        status, body = ask(up, rule["host"], "/")
        assert status in (303, 401, 404)
        assert b"has the host name" not in body
    assert kinds == {kind for kind in HOSTS if kind.types}
    # Nodes get a link by the names of the list.
    shown = up.api("GET", "/v2/control-planes").json()["data"]
    endpoints = {plane["name"]: plane["config"] for plane in shown}
    hosts = {rule["host"] for rule in out}
    for name, key in (("default", "control_plane"), ("default", "telemetry"), ("ingress", "telemetry")):
        assert endpoints[name][f"{key}_endpoint"].removeprefix("https://").partition(":")[0] in hosts
    assert endpoints["ingress"]["control_plane_endpoint"].removeprefix("https://").partition(":")[0] not in hosts


def test_the_allowlist_asks_for_control_planes_by_id(up: Installation) -> None:
    plane_id = up.control_plane_id()
    assert allowlist(up, "--control-plane", plane_id) == allowlist(up, "--control-plane", "default", "--region", "us")
