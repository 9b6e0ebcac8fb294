"""Regions in processes of their own: each stores and serves its own data, and shares what is global."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.certificates import Leaf
from tests.integration.installation import READY_SECONDS, run_twinplane

from twinplane.cli.network.check import find
from twinplane.cli.platform_client import PlatformClient
from twinplane.settings import load_node_settings

DOMAIN = "twinplane.localhost"
AUDIT = ("--audit-listen", "127.0.0.1:0")


@dataclass
class Served:
    """A control plane process and how to call it by any host name."""

    process: subprocess.Popen[bytes]
    port: int
    ca: Path
    token: str = ""

    def call(self, host: str, method: str, path: str, body: Any = None, **fields: str) -> tuple[int, Any]:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.check_hostname = host.endswith(DOMAIN) or host == "localhost"
        raw = socket.create_connection(("127.0.0.1", self.port), 60)
        connection = http.client.HTTPSConnection(host, self.port, context=context)
        connection.sock = context.wrap_socket(raw, server_hostname=host)
        headers = {"Authorization": f"Bearer {self.token}", **fields}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body), "application/json"
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(text) if text else None


@contextmanager
def control_plane(data: Path, *options: str, ca: Path | None = None) -> Iterator[Served]:
    """A control plane on a free port, ready; stopped gracefully at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = run_twinplane(
        "control-plane", "--data", str(data), "--listen", "127.0.0.1", "--port", str(port), *AUDIT, *options
    )
    served = Served(process, port, ca or data / "ca.pem")
    try:
        deadline = time.monotonic() + 3 * READY_SECONDS
        while not PlatformClient("localhost", port, served.ca).is_healthy():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError((process.stdout.read() if process.stdout else b"").decode())
            time.sleep(0.05)
        yield served
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def api(region: str) -> str:
    return f"{region}.api.{DOMAIN}"


def stored(store: Path) -> str:
    """Everything that a store holds, as text."""
    connection = sqlite3.connect(f"file:{store / 'control.db'}?mode=ro", uri=True)
    try:
        return "\n".join(connection.iterdump())
    finally:
        connection.close()


def rejected(*options: str) -> str:
    process = run_twinplane("control-plane", *AUDIT, *options)
    try:
        text, _ = process.communicate(timeout=3 * READY_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode != 0
    return text.decode()


def link_answer(served: Served, name: str, path: str = "/v1/outlet") -> int:
    """The status of an upgrade that shows no client certificate, asked for by a server name."""
    fields = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    fields |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    query = "?node_id=b8a2b1a4-0d6b-4a4e-9d43-1f2f3c4d5e6f&node_hostname=h&node_version=3.9.3"
    return served.call(name, "GET", path + query, **fields)[0]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served, Path]]:
    """One process for `global` and `us`, one for `eu` that shares the global store."""
    data = tmp_path_factory.mktemp("regions") / "data"
    regions = ("--regions", "us,eu", "--log-level", "warn")
    with control_plane(data, *regions, "--serve", "us,global") as first:
        first.token = (data / "admin.token").read_text().strip()
        with control_plane(data, *regions, "--serve", "eu") as second:
            second.token = first.token
            yield first, second, data


def test_each_region_stores_its_own_data_only(split: tuple[Served, Served, Path]) -> None:
    us, eu, data = split
    ids = {}
    for served, region in ((us, "us"), (eu, "eu")):
        status, made = served.call(api(region), "POST", "/v2/control-planes", {"name": f"plane-of-{region}"})
        assert status == 201, made
        ids[region] = made["id"]
        assert re.fullmatch(
            rf"https://[0-9a-f]{{10}}\.{region}\.cp0\.{DOMAIN}:{served.port}", made["config"]["control_plane_endpoint"]
        )
        path = f"/v2/control-planes/{made['id']}/core-entities/services"
        assert served.call(api(region), "POST", path, {"name": f"service-of-{region}", "host": "h.test"})[0] == 201
    assert "plane-of-us" in stored(data / "regions" / "us")
    assert "plane-of-eu" in stored(data / "regions" / "eu")
    for store, strange in (("regions/us", "-of-eu"), ("regions/eu", "-of-us"), (".", "-of-")):
        assert strange not in stored(data / store), store
    for store in ("regions/us", "regions/eu"):
        assert 'INSERT INTO "token"' not in stored(data / store)
        assert "INSERT INTO token" not in stored(data / store)

    for served, region, other in ((us, "us", "eu"), (eu, "eu", "us")):
        foreign = ids[other]
        assert served.call(api(region), "GET", f"/v2/control-planes/{foreign}")[0] == 404
        assert served.call(api(region), "GET", f"/v2/control-planes/{foreign}/core-entities/services")[0] == 404
        assert served.call(api(region), "DELETE", f"/v2/control-planes/{foreign}")[0] == 404
        names = [plane["name"] for plane in served.call(api(region), "GET", "/v2/control-planes")[1]["data"]]
        assert sorted(names) == ["default", f"plane-of-{region}"]


def test_a_region_served_elsewhere_is_not_found(split: tuple[Served, Served, Path]) -> None:
    us, eu, _ = split
    # Certificates carry the served regions only, so the name goes into `Host` alone.
    for served, mine, other in ((us, "us", "eu"), (eu, "eu", "us"), (eu, "eu", "global")):
        status, problem = served.call(api(mine), "GET", "/v2/control-planes", Host=api(other))
        assert (status, problem["detail"]) == (404, f"Region [{other}] is not served here")
        path = "/v2/control-planes/x/core-entities/services"
        assert served.call(api(mine), "GET", path, Host=api(other)) == (404, {"message": "Not found"})


def test_what_is_global_is_the_same_in_every_region(split: tuple[Served, Served, Path]) -> None:
    us, eu, _ = split
    answers = [
        served.call(host, "GET", "/v3/organizations/me")
        for served, host in ((us, api("global")), (us, api("us")), (eu, api("eu")))
    ]
    assert {status for status, _ in answers} == {200}
    assert len({organization["id"] for _, organization in answers}) == 1
    status, problem = us.call(api("global"), "GET", "/v2/control-planes")
    assert (status, "data of a region" in problem["detail"]) == (404, True)
    assert us.call(api("global"), "GET", "/v3/users/me")[0] == 200
    # A bare address stands for the one region that a process serves.
    assert {plane["name"] for plane in eu.call("localhost", "GET", "/v2/control-planes")[1]["data"]} >= {"default"}
    eu_stranger = Served(eu.process, eu.port, eu.ca, "kpat_nosuch")
    assert eu_stranger.call(api("eu"), "GET", "/v3/organizations/me")[0] == 401


def test_a_store_is_worked_in_by_one_process(split: tuple[Served, Served, Path]) -> None:
    _, _, data = split
    said = rejected("--data", str(data), "--regions", "us,eu", "--serve", "eu", "--port", "0")
    assert "another process works in this directory" in said


def test_a_store_of_another_region_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with control_plane(data, "--log-level", "warn") as served:
        served.token = (data / "admin.token").read_text().strip()
        assert served.call(api("us"), "GET", "/v2/control-planes")[0] == 200
    said = rejected("--data", str(data), "--regions", "us,eu", "--port", "0", "--listen", "127.0.0.1")
    assert f"region-data us={data}" in said
    # As it says: the store that was there goes on as that of its region.
    options = ("--regions", "us,eu", "--region-data", f"us={data}", "--log-level", "warn")
    with control_plane(data, *options) as served:
        served.token = (data / "admin.token").read_text().strip()
        assert served.call(api("us"), "GET", "/v2/control-planes")[1]["meta"]["page"]["total"] == 1
        assert served.call(api("eu"), "GET", "/v2/control-planes")[1]["meta"]["page"]["total"] == 1


def test_one_process_serves_all_regions_from_stores_of_their_own(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with control_plane(data, "--regions", "au,eu,in,me,us,global", "--log-level", "warn") as served:
        served.token = (data / "admin.token").read_text().strip()
        for region in ("au", "eu", "in", "me", "us"):
            body = {"name": f"plane-of-{region}"}
            assert served.call(api(region), "POST", "/v2/control-planes", body)[0] == 201
        status, problem = served.call("localhost", "GET", "/v2/control-planes")
        assert (status, "data of a region" in problem["detail"]) == (404, True)
        assert served.call("localhost", "GET", "/v3/users/me")[1]["inferred_region"] == "au"
        endpoints = {}
        for region in ("au", "eu"):
            plane = served.call(api(region), "GET", "/v2/control-planes")[1]["data"][0]
            endpoints[region] = plane["config"]["control_plane_endpoint"].removeprefix("https://").partition(":")[0]
            # The link of each region is found by the server name, in both forms: 401 asks for the certificate.
            assert link_answer(served, endpoints[region]) == 401
            assert link_answer(served, endpoints[region].replace(".cp0.", ".cp.")) == 401
        assert link_answer(served, "localhost") == 404
    for region in ("au", "eu", "in", "me", "us"):
        text = stored(data / "regions" / region)
        assert re.findall(r"plane-of-(\w+)", text)
        assert set(re.findall(r"plane-of-(\w+)", text)) == {region}


def test_a_region_asks_for_what_is_global(tmp_path: Path) -> None:
    """Two processes that share no directory: the region's asks the other one whom a token speaks for."""
    home, far = tmp_path / "home", tmp_path / "far"
    quiet = ("--regions", "us,eu", "--log-level", "warn")
    with control_plane(home, *quiet, "--serve", "us,global") as first:
        first.token = (home / "admin.token").read_text().strip()
        asked = ("--global-data", f"https://localhost:{first.port}", "--global-ca", str(home / "ca.pem"))
        # The bare address of a process that serves one region stands for it; what is global is answered there too.
        with control_plane(far, *quiet, "--serve", "eu", *asked) as second:
            second.token = first.token
            status, made = second.call(api("eu"), "POST", "/v2/control-planes", {"name": "far-away"})
            assert status == 201, made
            mine = second.call(api("eu"), "GET", "/v3/organizations/me")[1]
            theirs = first.call(api("global"), "GET", "/v3/organizations/me")[1]
            assert mine == theirs
            assert second.call(api("eu"), "GET", "/v3/users/me")[1]["id"] == theirs["owner_id"]
            assert not (far / "admin.token").exists()
            stranger = Served(second.process, second.port, second.ca, f"{first.token[:-1]}x")
            assert stranger.call(api("eu"), "GET", "/v2/control-planes")[0] == 401
            first.process.send_signal(signal.SIGTERM)
            first.process.wait(30)
            deadline = time.monotonic() + 20
            while (status := second.call(api("eu"), "GET", "/v2/control-planes")[0]) == 200:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            # Nobody can tell whose the token is: nobody is let in, and nobody is told that it is wrong.
            assert status == 503
    assert "far-away" in stored(far / "regions" / "eu")
    assert "far-away" not in stored(home) + stored(home / "regions" / "us")


def fetch(served: Served, host: str, path: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    """GET without a token."""
    context = ssl.create_default_context(cafile=str(served.ca))
    raw = socket.create_connection(("127.0.0.1", served.port), 60)
    connection = http.client.HTTPSConnection(host, served.port, context=context)
    connection.sock = context.wrap_socket(raw, server_hostname=host)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_addresses_are_published_with_their_history(tmp_path: Path) -> None:
    data, host = tmp_path / "data", f"ip-addresses.origin.{DOMAIN}"
    tags = []
    for given in ("us=203.0.113.7,eu=198.51.100.0/24", "us=203.0.113.7,us=203.0.113.8,eu=198.51.100.0/24"):
        options = ("--regions", "us,eu", "--ip-ingress", given, "--ip-egress", "eu=192.0.2.1", "--log-level", "warn")
        with control_plane(data, *options) as served:
            listed: Any = {}
            deadline = time.monotonic() + 20
            while len(listed.get("ingressIPs", {}).get("us", [])) != given.count("us="):
                assert time.monotonic() < deadline
                status, fields, body = fetch(served, host, "/ip-addresses.json")
                assert status == 200
                listed = json.loads(body)
            tags.append(fields["ETag"])
            assert listed["ingressIPs"]["eu"] == ["198.51.100.0/24"]
            assert listed["egressIPs"] == {"eu": ["192.0.2.1/32"]}
            for other in (api("us"), api("global"), "localhost"):
                assert fetch(served, other, "/.well-known/ip-addresses.json")[2] == body
            status, fields, feed = fetch(served, host, "/rss")
            assert (status, fields["Content-Type"]) == (200, "application/rss+xml; charset=utf-8")
            assert fetch(served, host, "/v2/control-planes")[0] == 404
    assert len(set(tags)) == 2
    titles = [item.findtext("title") for item in ElementTree.fromstring(feed).iter("item")]
    assert titles == [
        "us: addresses in: 1 added",
        "eu: addresses out: 1 added",
        "us: addresses in: 1 added",
        "eu: addresses in: 1 added",
    ]


def test_endpoints_carry_the_port_that_is_reached(tmp_path: Path) -> None:
    """A port that is chosen at start is known only then; one that a balancer publishes is given."""
    for options, expected in (((), None), (("--advertised-port", "443"), "")):
        data = tmp_path / f"data{len(options)}{expected}"
        words = ("--data", str(data), "--listen", "127.0.0.1", "--port", "0", *AUDIT, *options)
        process = run_twinplane("control-plane", *words)
        try:
            assert process.stdout is not None
            started = next(line for line in process.stdout if b"control_plane_started" in line)
            port = int(started.split(b"port=")[1].split()[0])
            served = Served(process, port, data / "ca.pem", (data / "admin.token").read_text().strip())
            config = served.call(api("us"), "GET", "/v2/control-planes")[1]["data"][0]["config"]
            shown = f":{port}" if expected is None else expected
            assert config["control_plane_endpoint"].endswith(f".us.cp0.{DOMAIN}{shown}")
            assert config["telemetry_endpoint"].endswith(f".us.tp0.{DOMAIN}{shown}")
            host = f"ip-addresses.origin.{DOMAIN}"
            assert f"<link>https://{host}{shown}/ip-addresses.json</link>".encode() in fetch(served, host, "/rss")[2]
        finally:
            process.terminate()
            process.communicate(timeout=30)


def test_nodes_find_their_region_by_every_form_of_the_name(tmp_path: Path) -> None:
    """Prefix or id, `cp0` or `cp`: each leads to the region's own link, and a name of another region to none."""
    leaf = Leaf.self_signed("node", days=90)
    (tmp_path / "node.pem").write_text(leaf.certificate)
    (tmp_path / "node.key").write_text(leaf.key)
    data = tmp_path / "data"
    with control_plane(data, "--regions", "us,eu", "--log-level", "warn") as served:
        served.token = (data / "admin.token").read_text().strip()
        plane = served.call(api("eu"), "GET", "/v2/control-planes")[1]["data"][0]
        path = f"/v2/control-planes/{plane['id']}/dp-client-certificates"
        assert served.call(api("eu"), "POST", path, {"cert": leaf.certificate})[0] == 201
        prefix = plane["config"]["control_plane_endpoint"].removeprefix("https://").partition(".")[0]

        def checked(form: str) -> dict[str, str]:
            environ = {
                "KONG_ROLE": "data_plane",
                "KONG_DATABASE": "off",
                "KONG_CLUSTER_MTLS": "pki",
                "KONG_CLUSTER_CONTROL_PLANE": f"127.0.0.1:{served.port}",
                "KONG_CLUSTER_SERVER_NAME": f"{form}.{DOMAIN}",
                "KONG_CLUSTER_CERT": str(tmp_path / "node.pem"),
                "KONG_CLUSTER_CERT_KEY": str(tmp_path / "node.key"),
                "KONG_LUA_SSL_TRUSTED_CERTIFICATE": str(data / "ca.pem"),
                "KONG_AUDIT_TRANSPORT": "off",
            }
            found = asyncio.run(find(load_node_settings(None, environ), timeout_s=10, audit_port=1))
            return {finding.check: finding.status for finding in found}

        for form in (f"{prefix}.eu.cp0", f"{prefix}.eu.cp", f"{plane['id']}.eu.cp0", f"{plane['id']}.eu.cp"):
            assert set(checked(form).values()) == {"ok"}, form
        for form in (f"{prefix}.us.cp0", "0123456789.eu.cp0", f"{prefix}.eu.tp0"):
            assert checked(form)["client certificate"] == "fail", form


def test_a_process_may_serve_what_is_global_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with control_plane(data, "--regions", "us,eu", "--serve", "global", "--log-level", "warn") as served:
        served.token = (data / "admin.token").read_text().strip()
        assert served.call(api("global"), "GET", "/v3/users/me")[0] == 200
        assert served.call("localhost", "GET", "/v2/control-planes")[0] == 404
        status, problem = served.call(api("global"), "GET", "/v2/control-planes", Host=api("us"))
        assert (status, problem["detail"]) == (404, "Region [us] is not served here")
    assert not (data / "regions").exists()
