"""The two planes as processes of their own, killed without warning: traffic goes on, nothing acknowledged is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.installation import Client, Upstream, eventually
from tests.integration.planes import Planes


@pytest.fixture
def planes(tmp_path: Path) -> Iterator[Planes]:
    found = Planes(tmp_path)
    try:
        found.start_control_plane()
        found.join()
        found.start_node()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


def test_traffic_and_telemetry_survive_the_loss_of_either_plane(planes: Planes, upstream: Upstream) -> None:
    planes.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"})
    planes.admin("PUT", "/services/s/routes/r", {"paths": ["/"]})
    eventually(lambda: planes.proxy("GET", "/before").status == 200)

    planes.kill(planes.control_plane)
    for number in range(20):
        assert planes.proxy("GET", f"/away/{number}").status == 200
    # Records leave the core once a second; what a kill may cost is what has not left it yet.
    time.sleep(2.5)
    planes.kill(planes.node)
    planes.start_node()
    for number in range(20):
        assert planes.proxy("GET", f"/restarted/{number}").status == 200

    planes.start_control_plane()
    assert planes.admin("PUT", "/services/s/routes/late", {"paths": ["/late"], "methods": ["POST"]}).status == 200
    eventually(planes.in_sync, seconds=30)
    wanted = {f"/{part}/{number}" for part in ("away", "restarted") for number in range(20)}
    eventually(lambda: wanted <= {each["request_uri"] for each in planes.recorded()}, seconds=30)
    counted = [each["request_uri"] for each in planes.recorded() if each["request_uri"] in wanted]
    assert len(counted) == len(wanted)


def test_only_the_newest_configuration_arrives_after_a_gap(planes: Planes, upstream: Upstream) -> None:
    planes.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"})
    planes.admin("PUT", "/services/s/routes/r", {"paths": ["/first"]})
    eventually(lambda: planes.proxy("GET", "/first").status == 200)
    planes.kill(planes.node)
    for name in ("second", "third", "fourth"):
        planes.admin("PATCH", "/routes/r", {"paths": [f"/{name}"]})
    planes.start_node()
    eventually(lambda: planes.proxy("GET", "/fourth").status == 200)
    assert planes.proxy("GET", "/third").status == 404


def test_a_deleted_cache_starts_empty_and_a_damaged_one_older(planes: Planes, upstream: Upstream) -> None:
    cache = planes.node_directory / "config.json.gz"
    planes.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"})
    for name in ("one", "two"):
        planes.admin("PUT", f"/services/s/routes/{name}", {"paths": [f"/{name}"]})
        eventually(lambda name=name: planes.proxy("GET", f"/{name}").status == 200)
    planes.kill(planes.control_plane)
    planes.kill(planes.node)
    data = bytearray(cache.read_bytes())
    data[len(data) // 2] ^= 1
    cache.write_bytes(data)
    planes.start_node()
    assert planes.proxy("GET", "/one").status == 200
    planes.kill(planes.node)
    cache.unlink()
    planes.start_node()
    assert planes.proxy("GET", "/one").status == 404
    assert Client(planes.ports.status)("GET", "/status/ready").status == 503


def test_a_revoked_certificate_ends_the_link(planes: Planes) -> None:
    found = planes.api("GET", "/v2/control-planes?filter[name][eq]=default").json()["data"][0]["id"]
    eventually(planes.in_sync)
    path = f"/v2/control-planes/{found}/dp-client-certificates"
    for pinned in planes.api("GET", path).json()["items"]:
        assert planes.api("DELETE", f"{path}/{pinned['id']}").status == 204
    assert planes.admin("PUT", "/services/unseen", {"host": "unseen.example"}).status == 200
    time.sleep(3)
    assert not planes.in_sync()


def test_acknowledged_writes_survive_a_kill(planes: Planes) -> None:
    kept = []
    for number in range(200):
        if planes.admin("PUT", f"/services/s{number}", {"host": f"h{number}.example"}).status == 200:
            kept.append(f"s{number}")
        if number == 150:
            planes.kill(planes.control_plane)
            break
    planes.start_control_plane()
    found = {each["name"] for each in planes.admin("GET", "/services?size=1000").json()["data"]}
    assert set(kept) <= found


def test_no_secret_of_a_request_is_kept_anywhere(planes: Planes, upstream: Upstream) -> None:
    """Secrets in bodies, headers, query and credentials: none may be in the store, the backlog, a log or an answer."""
    planes.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"})
    planes.admin("PUT", "/services/s/routes/r", {"paths": ["/private"]})
    planes.admin("POST", "/services/s/plugins", {"name": "key-auth"})
    planes.admin("PUT", "/consumers/ada", {"username": "ada"})
    planes.admin("POST", "/consumers/ada/key-auth", {"key": "planted-credential-1"})
    headers = {"apikey": "planted-credential-1", "X-Private": "planted-header-2", "Cookie": "session=planted-cookie-3"}
    body = json.dumps({"card": "planted-body-4"})
    eventually(lambda: planes.proxy("POST", "/private?pin=planted-query-5", body, headers).status == 200)
    wrong = {**headers, "apikey": "planted-wrong-6"}
    # The plugin may come after the route.
    eventually(lambda: planes.proxy("POST", "/private?pin=planted-query-5", body, wrong).status == 401)
    records = eventually(lambda: (found := planes.recorded()) and len(found) >= 2 and found)
    text = json.dumps(records)
    logs = b""
    planes.stop()
    secrets = ["planted-header-2", "planted-cookie-3", "planted-body-4", "planted-query-5", "planted-wrong-6"]
    for path in [each for each in planes.data.rglob("*") if each.is_file()]:
        data = path.read_bytes()
        leaked = [secret for secret in secrets if secret.encode() in data]
        assert not leaked, f"{path.name} holds {leaked}"
    assert "planted" not in text
    assert b"planted" not in logs
