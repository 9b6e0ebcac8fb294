"""What an ingress controller asks for, call by call, over real TLS: start, configuration, nodes, licence, its end."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.certificates import Authority, Leaf
from tests.conformance.kic.controller import HOST, Controller, new_plane, pin
from tests.control_room import open_platform
from tests.integration.installation import Installation, eventually, installation

from twinplane.control import ControlSettings
from twinplane.control.errors import LimitExceeded
from twinplane.hybrid.dial import Dialer, Endpoint, LinkTls
from twinplane.hybrid.errors import UpgradeRefused
from twinplane.hybrid.wire import TELEMETRY_PATH, NodeQuery, connect_path

LISTS = (
    *("services", "routes", "plugins", "upstreams", "targets", "certificates", "ca_certificates", "snis", "vaults"),
    *("keys", "key-sets", "partials", "filter-chains", "consumers", "consumer_groups", "key-auths", "basic-auths"),
    *("jwts", "acls", "hmac-auths", "mtls-auths"),
)

BEYOND = ("partials", "mtls-auths")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("kic")) as found:
        yield found


def controller_of(up: Installation, plane: str, leaf: Leaf | None, folder: Any) -> Controller:
    return Controller(up.ports["port"], up.data / "ca.pem", HOST, plane, leaf, folder)


@pytest.fixture
def controller(up: Installation, tmp_path: Any) -> Controller:
    leaf = Leaf.self_signed("ingress")
    plane = new_plane(up)
    pin(up, plane, leaf.certificate)
    return controller_of(up, plane, leaf, tmp_path)


def node(hostname: str = "kong/controller-1", **fields: Any) -> dict[str, Any]:
    return {
        "hostname": hostname,
        "type": "ingress-controller",
        "last_ping": int(time.time()),
        "version": "3.5.0",
        "status": "INGRESS_CONTROLLER_STATE_OPERATIONAL",
        **fields,
    }


def nodes_shown(up: Installation, plane: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = up.api("GET", f"/v2/control-planes/{plane}/nodes").json()["items"]
    return found


def test_a_controllers_life(up: Installation, controller: Controller) -> None:
    # Start: is the control plane there?
    assert controller.json("GET", "/services?size=1") == {"data": [], "next": None}
    # Nodes before the first upload, then itself and its gateway.
    listed = controller.json("GET", "/v1/kic-nodes")
    assert listed["items"] == []
    assert listed["page"]["has_next_page"] is False
    own, gateway = str(uuid.uuid4()), str(uuid.uuid4())
    made = controller.json("POST", "/v1/kic-nodes", node(id=own), status=201)["item"]
    assert made["id"] == own
    assert made["status"] == "INGRESS_CONTROLLER_STATE_OPERATIONAL"
    controller.json("POST", "/v1/kic-nodes", node("kong/proxy-1", id=gateway, type="kong-proxy", status=""), status=201)
    # Configuration: every list, the schemas, then entities under ids of its own.
    for collection in LISTS:
        answer = controller("GET", f"/{collection}?size=1000")
        # What 3.9 of the open edition does not know is told as 404, which controllers take for none.
        assert answer.status == 404 if collection in BEYOND else answer.json()["data"] == [], collection
    for entity in ("service", "route", "upstream", "target"):
        assert "properties" in controller.json("GET", f"/v1/schemas/json/{entity}")
    service, route, consumer, key = (str(uuid.uuid4()) for _ in range(4))
    tags = ["k8s-name:httpbin", "k8s-kind:Service"]
    controller.json("PUT", f"/consumers/{consumer}", {"id": consumer, "username": "ada", "tags": tags})
    controller.json("PUT", f"/services/{service}", {"id": service, "name": "s", "host": "s.svc", "tags": tags})
    controller.json(
        "PUT", f"/consumers/{consumer}/key-auth/{key}", {"id": key, "key": "k", "consumer": {"id": consumer}}
    )
    body = {"id": route, "name": "r", "paths": ["/x"], "service": {"id": service}, "tags": tags}
    assert controller.json("PUT", f"/routes/{route}", body)["id"] == route
    # Heartbeat, each with the state of the last upload.
    beat = node(config_hash="a" * 64, status="INGRESS_CONTROLLER_STATE_OPERATIONAL_KONNECT_OUT_OF_SYNC")
    for _ in range(2):
        item = controller.json("PUT", f"/v1/kic-nodes/{own}", beat)["item"]
        assert item["config_hash"] == "a" * 64
        assert item["status"].endswith("_KONNECT_OUT_OF_SYNC")
    # Everyone else sees both nodes, and what was uploaded.
    shown = {each["id"]: each["type"] for each in nodes_shown(up, controller.control_plane_id)}
    assert shown == {own: "ingress-controller", gateway: "kong-proxy"}
    core = f"/v2/control-planes/{controller.control_plane_id}/core-entities"
    assert [each["name"] for each in up.api("GET", f"{core}/services").json()["data"]] == ["s"]
    # Another leader: it removes the nodes of other names, then reports itself.
    controller.json("DELETE", f"/v1/kic-nodes/{own}", status=204)
    new = controller.json("POST", "/v1/kic-nodes", node("kong/controller-2"), status=201)["item"]["id"]
    assert {each["id"] for each in controller.json("GET", "/v1/kic-nodes")["items"]} == {new, gateway}
    # What is gone from the cluster is deleted.
    controller.json("DELETE", f"/routes/{route}", status=204)
    controller.json("DELETE", f"/services/{service}", status=204)
    assert up.api("GET", f"{core}/services").json()["data"] == []


def test_only_the_controller_writes_entities(up: Installation, controller: Controller) -> None:
    core = f"/v2/control-planes/{controller.control_plane_id}/core-entities"
    service = str(uuid.uuid4())
    controller.json("PUT", f"/services/{service}", {"name": "mine", "host": "h.internal"})
    for method, path, body in (
        ("POST", "/services", {"name": "x", "host": "h"}),
        ("PUT", f"/services/{service}", {"name": "mine", "host": "other"}),
        ("PATCH", f"/services/{service}", {"host": "other"}),
        ("DELETE", f"/services/{service}", None),
    ):
        answer = up.api(method, core + path, body)
        assert answer.status == 403, (method, answer.body)
        assert "ingress controller" in answer.json()["message"]
    assert up.api("GET", f"{core}/services/{service}").json()["host"] == "h.internal"
    changed = up.api("PATCH", f"/v2/control-planes/{controller.control_plane_id}", {"description": "of the cluster"})
    assert changed.status == 200


def test_a_licence_given_to_the_control_plane_reaches_its_controller(up: Installation, controller: Controller) -> None:
    assert controller("GET", "/v1/licenses").status == 404
    core = f"/v2/control-planes/{controller.control_plane_id}/core-entities"
    payload = '{"license":{"payload":{"license_expiration_date":"2099-01-01"}}}'
    assert up.api("POST", f"{core}/licenses", {"payload": payload}).status == 201
    item = controller.json("GET", "/v1/licenses")["items"][0]
    assert item["payload"] == payload
    assert item["updated_at"] > 0
    assert item["id"]


def test_without_its_certificate_no_call_is_served(up: Installation, controller: Controller) -> None:
    stranger = dataclasses.replace(controller, leaf=Leaf.self_signed("stranger"))
    nobody = dataclasses.replace(controller, leaf=None)
    for path in ("/services?size=1", "/v1/kic-nodes", "/v1/licenses", "/", "/none"):
        assert nobody("GET", path).status == 401, path
        assert stranger("GET", path).status == 401, path
    # A token is no way in, nor is a certificate in a header that is the front door's own.
    assert nobody("GET", "/services", headers={"Authorization": f"Bearer {up.token}"}).status == 401
    forged = ":" + "".join(controller.leaf.certificate.splitlines()[1:-1]) + ":" if controller.leaf else ""
    for name in ("Client-Cert", "client_cert", "CLIENT-CERT"):
        headers = {name: forged, "Twinplane-Sni": HOST, "X-Client-Cert": forged}
        assert nobody("GET", "/services", headers=headers).status == 401
    assert controller("GET", "/services", headers={"Client-Cert": ":AAAA:", "Twinplane-Sni": "x"}).status == 200


def test_a_certificate_opens_its_own_control_plane_only(
    up: Installation, controller: Controller, tmp_path: Any
) -> None:
    other = new_plane(up)
    for plane in (other, str(uuid.uuid4()), "not-an-id"):
        answer = dataclasses.replace(controller, control_plane_id=plane)("GET", "/services")
        assert answer.status == 403, answer.body
    # The certificate of a gateway's nodes is no key to its configuration.
    leaf = Leaf.self_signed("node")
    gateway = up.control_plane_id()
    pin(up, gateway, leaf.certificate)
    answer = controller_of(up, gateway, leaf, tmp_path)("PUT", f"/services/{uuid.uuid4()}", {"host": "h"})
    assert answer.status == 403
    # The right certificate under another kind of name.
    endpoint = up.api("GET", f"/v2/control-planes/{controller.control_plane_id}").json()["config"]
    link = endpoint["control_plane_endpoint"].removeprefix("https://").partition(":")[0]
    assert controller("GET", "/services", name=link).status == 401


def test_an_unpinned_certificate_is_refused_at_once(up: Installation, controller: Controller) -> None:
    path = f"/v2/control-planes/{controller.control_plane_id}/dp-client-certificates"
    pinned = up.api("GET", path).json()["items"][0]["id"]
    assert controller("GET", "/services").status == 200
    assert up.api("DELETE", f"{path}/{pinned}").status == 204
    assert controller("GET", "/services").status == 401


def test_a_chain_to_the_authority_of_the_control_plane_is_taken(up: Installation, tmp_path: Any) -> None:
    authority, other = Authority("cluster"), Authority("elsewhere")
    plane = new_plane(up, auth_type="pki_client_certs")
    pin(up, plane, authority.certificate)
    assert controller_of(up, plane, authority.leaf("ingress"), tmp_path)("GET", "/services").status == 200
    assert controller_of(up, plane, other.leaf("ingress"), tmp_path)("GET", "/services").status == 401
    expired = authority.leaf("late", days=-1)
    assert controller_of(up, plane, expired, tmp_path)("GET", "/services").status == 401


def test_everything_wrong_with_a_node_is_told_at_once(controller: Controller) -> None:
    wrong = {
        "id": "x",
        "type": "toaster",
        "version": 3,
        "last_ping": "soon",
        "status": "FINE",
        "config_hash": "f" * 300,
        "compatibility_status": {"state": "GOOD", "issues": [1, {"code": 5}]},
    }
    answer = controller("POST", "/v1/kic-nodes", wrong)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = {each["field"] for each in answer.json()["invalid_parameters"]}
    assert told == {
        "id",
        "hostname",
        "type",
        "version",
        "last_ping",
        "status",
        "config_hash",
        "compatibility_status.state",
        "compatibility_status.issues.0",
        "compatibility_status.issues.1.code",
    }
    made = controller.json("POST", "/v1/kic-nodes", node(), status=201)["item"]
    assert controller("POST", "/v1/kic-nodes", node(id=made["id"])).status == 409
    assert controller("PUT", f"/v1/kic-nodes/{made['id']}", node(id=str(uuid.uuid4()))).status == 400
    assert controller("PUT", f"/v1/kic-nodes/{uuid.uuid4()}", node()).status == 404
    assert controller("DELETE", f"/v1/kic-nodes/{uuid.uuid4()}").status == 404
    assert controller("GET", "/v1/kic-nodes?page.next_cursor=!!").status == 400
    assert controller("POST", "/v1/kic-nodes", b"{not json").status == 400
    assert controller("POST", "/v1/kic-nodes", b"a=b", headers={"Content-Type": "text/plain"}).status == 415
    assert controller("PATCH", f"/v1/kic-nodes/{made['id']}", {}).status == 405
    assert controller("GET", "/v1/nothing").status == 404
    assert controller("GET", "/v2/control-planes", whole=True).status == 404


def test_compatibility_is_shown_as_the_controller_told_it(up: Installation, controller: Controller) -> None:
    issue = {
        "code": "K1",
        "severity": "warning",
        "description": "d",
        "resolution": "r",
        "affected_resources": [{"id": "1", "type": "route"}],
    }
    status = {"state": "COMPATIBILITY_STATE_INCOMPATIBLE", "issues": [issue]}
    made = controller.json("POST", "/v1/kic-nodes", node(compatibility_status=status), status=201)["item"]
    shown = nodes_shown(up, controller.control_plane_id)[0]["compatibility_status"]
    assert shown["state"] == made["compatibility_status"]["state"] == status["state"]
    assert shown["issues"][0] == {**issue, "documentation_url": ""}
    told = node(compatibility_status={"state": "COMPATIBILITY_STATE_FULLY_COMPATIBLE"})
    item = controller.json("PUT", f"/v1/kic-nodes/{made['id']}", told)["item"]
    assert item["compatibility_status"] == {"state": "COMPATIBILITY_STATE_FULLY_COMPATIBLE"}


def test_nodes_are_listed_page_by_page(controller: Controller) -> None:
    made = {
        controller.json("POST", "/v1/kic-nodes", node(f"n{at}", type="kong-proxy"), status=201)["item"]["id"]
        for at in range(5)
    }
    found: list[str] = []
    cursor = ""
    for _ in range(5):
        page = controller.json("GET", f"/v1/kic-nodes?page[size]=2&page.next_cursor={cursor}")
        found += [each["id"] for each in page["items"]]
        if not page["page"]["has_next_page"]:
            break
        cursor = page["page"]["next_cursor"]
    assert sorted(found) == sorted(made)


def test_a_controllers_clock_is_believed_within_minutes(controller: Controller) -> None:
    now = int(time.time())
    close = controller.json("POST", "/v1/kic-nodes", node(last_ping=now - 60), status=201)["item"]
    assert close["last_ping"] == now - 60
    far = controller.json("PUT", f"/v1/kic-nodes/{close['id']}", node(last_ping=now + 10_000))["item"]
    assert now <= far["last_ping"] <= now + 60


def test_what_a_controller_does_and_is_refused_stands_in_the_audit_records(
    up: Installation, controller: Controller
) -> None:
    service = str(uuid.uuid4())
    controller.json("PUT", f"/services/{service}", {"name": "audited", "host": "h.internal"})
    stranger = dataclasses.replace(controller, leaf=Leaf.self_signed("a stranger of the audit"))
    assert stranger("GET", "/services").status == 401

    def kinds() -> set[tuple[str, str]]:
        rows = up.api("GET", "/v2/audit-logs?page[size]=1000").json()["data"]
        return {(row["kind"], (row["actor"] or {}).get("kind") or row["detail"].get("reason", "")) for row in rows}

    eventually(lambda: ("link.refused", "certificate_unknown") in kinds(), seconds=30)
    assert any(actor == "ingress-controller" for _, actor in kinds())


def test_a_control_plane_has_only_so_many_nodes(tmp_path: Any) -> None:
    with open_platform(tmp_path, ControlSettings(nodes_max=2)) as platform:
        nodes, scope = platform.control.ingress_nodes, platform.default.scope
        for at in range(2):
            nodes.create(scope, {"hostname": f"n{at}", "type": "kong-proxy"}, certificate_id=None)
        with pytest.raises(LimitExceeded):
            nodes.create(scope, {"hostname": "n2", "type": "kong-proxy"}, certificate_id=None)


async def test_gateways_of_a_controller_send_telemetry_with_its_certificate(
    up: Installation, controller: Controller
) -> None:
    config = up.api("GET", f"/v2/control-planes/{controller.control_plane_id}").json()["config"]
    name = config["telemetry_endpoint"].removeprefix("https://").partition(":")[0]
    assert controller.leaf is not None
    query = NodeQuery(str(uuid.uuid4()), "proxy-1", "3.9.1.0")
    for leaf, path, is_let_in in (
        (controller.leaf, "/v1/analytics/reqlog", True),
        (controller.leaf, TELEMETRY_PATH, True),
        (Leaf.self_signed("stranger"), "/v1/analytics/reqlog", False),
    ):
        tls = LinkTls("pki", leaf.certificate, leaf.key, trusted=(up.data / "ca.pem").read_text())
        dialer = Dialer(Endpoint("127.0.0.1", up.ports["port"], name), tls)
        if is_let_in:
            stream, answer = await dialer.open(connect_path(path, query))
            assert answer.status_code == 101
            await stream.close()
        else:
            with pytest.raises(UpgradeRefused):
                await dialer.open(connect_path(path, query))
