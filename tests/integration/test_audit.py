"""A whole installation with its audit port on: what the node tells of itself can be read, over TCP and over UDP."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from tests.certificates import Leaf
from tests.integration.installation import Client, Installation, eventually, installation, run_twinplane


@pytest.fixture(scope="module", params=["tcp", "udp"])
def up(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    form = "cef" if request.param == "udp" else "rfc5424"
    environ = {
        "KONG_AUDIT_TRANSPORT": request.param,
        "KONG_AUDIT_FORMAT": form,
        "KONG_CERTIFICATE_CHECK": "0.2",
    }
    directory = tmp_path_factory.mktemp(f"audit-{request.param}")
    with installation(directory, "--audit-port", "0", environ=environ) as found:
        yield found


def records(up: Installation, kind: str, **filters: str) -> list[dict[str, Any]]:
    """Records of a kind, newest first."""
    asked = {"kind": kind, **filters}
    query = "&".join(f"{quote(f'filter[{name}]')}={quote(value)}" for name, value in asked.items())
    answer = up.api("GET", f"/v2/audit-logs?{query}&page%5Bsize%5D=1000")
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def test_the_port_is_named_and_the_node_tells_of_its_start(up: Installation) -> None:
    assert up.ports["audit_port"] > 0
    started = eventually(lambda: records(up, "node.started"))[0]
    assert started["result"] == "success"
    assert started["control_plane_id"] == up.control_plane_id()
    nodes = up.api("GET", f"/v2/control-planes/{up.control_plane_id()}/nodes").json()["items"]
    assert started["node_id"] == nodes[0]["id"]
    assert started["certificate_id"]
    assert records(up, "node.started", node_id=started["node_id"])
    assert not records(up, "node.started", node_id="another")


def test_configurations_that_are_applied_are_told(up: Installation) -> None:
    assert up.admin("PUT", "/services/told", {"url": "http://127.0.0.1:1"}).status == 200
    expected = f"/v2/control-planes/{up.control_plane_id()}/expected-config-hash"

    def told() -> bool:
        newest = up.api("GET", expected).json()["expected_hash"]
        return any(one["detail"]["said"].get("hash") == newest for one in records(up, "node.config_applied"))

    eventually(told)


def test_accesses_of_the_status_port_are_told_without_their_query(up: Installation) -> None:
    assert up.status("GET", "/status/nowhere?token=hidden-value").status == 404
    assert up.status("POST", "/status", {}).status == 405

    def told() -> list[dict[str, Any]]:
        return [one for one in records(up, "node.access") if one["detail"]["said"].get("path") == "/status/nowhere"]

    found = eventually(told)[0]
    said = found["detail"]["said"]
    assert (said["method"], said["status"], said["peer"], found["result"]) == ("GET", "404", "127.0.0.1", "failure")
    everything = up.api("GET", "/v2/audit-logs?page%5Bsize%5D=1000").body
    assert b"hidden-value" not in everything


def test_a_node_that_stops_and_starts_again_is_told(up: Installation) -> None:
    before = len(eventually(lambda: records(up, "node.started")))
    os.kill(up.node_pid(), signal.SIGTERM)
    eventually(lambda: records(up, "node.stopped"), seconds=60)
    eventually(lambda: len(records(up, "node.started")) > before, seconds=60)
    assert not records(up, "audit.lost")


def test_the_nodes_metrics_say_how_its_audit_lines_fare(up: Installation) -> None:
    eventually(lambda: records(up, "node.started"))
    metrics = up.status("GET", "/metrics").body.decode()
    assert 'twinplane_audit_events_total{outcome="dropped"} 0' in metrics
    assert "twinplane_audit_events_waiting " in metrics


def test_management_is_told_with_who_from_where_and_which_request(up: Installation) -> None:
    control_plane = f"/v2/control-planes/{up.control_plane_id()}"
    body = {"name": "audited", "url": "http://127.0.0.1:1", "client_certificate": None}
    made = up.api("POST", f"{control_plane}/core-entities/services", body)
    assert made.status == 201
    change = next(one for one in records(up, "change") if made.json()["id"] in str(one["detail"]))
    assert change["detail"]["changes"] == [{"operation": "create", "type": "services", "id": made.json()["id"]}]
    assert (change["actor"]["kind"], change["client_ip"], change["result"]) == ("user", "127.0.0.1", "success")
    assert change["control_plane_id"] == up.control_plane_id()
    assert len(change["request_id"]) == 32

    assert up.api("POST", f"{control_plane}/core-entities/services", body).status == 409
    refused = eventually(lambda: records(up, "call.refused"))[0]
    assert (refused["detail"]["method"], refused["detail"]["status"]) == ("POST", 409)
    assert refused["actor"]["kind"] == "user"

    assert up.admin("POST", "/services", {"name": "audited"}).status == 400
    eventually(lambda: [one for one in records(up, "call.refused") if one["actor"]["kind"] == "admin-api"])

    used = eventually(lambda: records(up, "token.used"))[0]
    assert used["detail"]["token_id"]
    assert used["client_ip"] == "127.0.0.1"


def test_a_certificate_and_a_node_are_told_as_they_come(up: Installation) -> None:
    pinned = [one for one in records(up, "change") if "node_certificates" in str(one["detail"])]
    assert pinned[0]["detail"]["changes"][0]["operation"] == "create"
    joined = eventually(lambda: records(up, "link.joined"))[-1]
    assert joined["control_plane_id"] == up.control_plane_id()
    assert joined["certificate_id"] == pinned[0]["detail"]["changes"][0]["id"]


def test_strangers_are_told_once_a_minute_and_no_token_is_kept(up: Installation) -> None:
    stranger = Client(up.ports["port"], ca=up.data / "ca.pem", token="kpat_never-to-be-written-down")
    for _ in range(30):
        assert stranger("GET", "/v2/control-planes?token=never-to-be-written-down").status == 401
    assert Client(up.ports["port"], ca=up.data / "ca.pem")("GET", "/v2/control-planes").status == 401
    found = eventually(lambda: len(records(up, "token.refused")) == 2 and records(up, "token.refused"))
    assert {one["detail"]["reason"] for one in found} == {"unknown", "missing"}
    with (up.data / "control.db").open("rb") as store:
        assert b"never-to-be-written-down" not in store.read()


def test_the_chain_is_verified_beside_the_running_platform(up: Installation) -> None:
    def verify(*options: str) -> tuple[int, str]:
        process = run_twinplane("audit", "verify", "--data", str(up.data), *options)
        output = process.communicate(timeout=60)[0].decode()
        return process.returncode, output

    status, output = verify()
    assert (status, output.split(":")[0]) == (0, "whole")
    newest = records(up, "change")[0]["hash"]
    assert verify("--known", newest)[0] == 0
    status, output = verify("--known", "0" * 63 + "1")
    assert status == 1
    assert "no record has the hash" in output
    assert verify("--known", "x")[0] == 1
    assert verify("--data", str(up.data / "nowhere"))[0] == 1


def test_counters_can_be_asked_for(up: Installation) -> None:
    def told() -> bool:
        status = up.api("GET", "/v2/audit-logs/status").json()
        assert status["port"]["number"] == up.ports["audit_port"]
        assert (status["port"]["dropped"], status["port"]["lost"], status["forward"]) == ({}, 0, None)
        return bool(status["port"]["received"] > 0 and status["records"]["kept"] > 0)

    eventually(told)


def test_a_certificate_that_is_renewed_is_told_and_one_that_is_refused_too(up: Installation) -> None:
    leaf, other = Leaf.self_signed("renewed", names=("localhost",)), Leaf.self_signed("other")
    (up.data / "node" / "proxy.pem").write_text(leaf.certificate)
    (up.data / "node" / "proxy.key").write_text(leaf.key)
    told = eventually(lambda: records(up, "node.certificate_renewed"))[0]
    assert (told["detail"]["said"], told["result"]) == ({"name": "ssl_certificate"}, "success")
    (up.data / "node" / "proxy.key").write_text(other.key)
    told = eventually(lambda: records(up, "node.condition"))[0]
    assert (told["detail"]["said"]["state"], told["result"]) == ("present", "failure")
    (up.data / "node" / "proxy.key").write_text(leaf.key)
    eventually(lambda: [one for one in records(up, "node.condition") if one["detail"]["said"]["state"] == "over"])


def test_pages_lead_on_and_back(up: Installation) -> None:
    def page(path: str) -> Any:
        answer = up.api("GET", path)
        assert answer.status == 200, answer.body
        return answer.json()

    first = page("/v2/audit-logs?page%5Bsize%5D=2&filter%5Bkind%5D=")
    assert len(first["data"]) == 2
    assert first["meta"]["page"]["previous"] is None
    second = page(first["meta"]["page"]["next"])
    assert second["data"][0]["id"] < first["data"][-1]["id"]
    assert page(second["meta"]["page"]["previous"])["data"] == first["data"]


def test_wrong_questions_are_refused_with_every_mistake(up: Installation) -> None:
    answer = up.api(
        "GET",
        "/v2/audit-logs?page%5Bsize%5D=0&page%5Bafter%5D=%21&filter%5Bat%5D%5Bgte%5D=today&filter%5Bcolour%5D=red",
    )
    assert answer.status == 400
    fields = {one["field"] for one in answer.json()["invalid_parameters"]}
    assert fields == {"page[size]", "page[after]", "filter[at][gte]", "filter[colour][eq]"}
