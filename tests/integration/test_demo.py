"""`twinplane up --demo`: something to see from the first minute, kept over starts, never put over what is a user's."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from tests.integration.installation import Installation, eventually, free_ports, installation, run_twinplane

from twinplane.cli.demo.document import read_document
from twinplane.cli.demo.pouring import Pouring
from twinplane.cli.demo.state import load_state
from twinplane.cli.platform_client import PlatformClient
from twinplane.control import Control
from twinplane.hybrid.hashing import config_hash

SLOW_S = 90.0


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("demo"), environ={"TWINPLANE_DEMO": "on"}) as found:
        yield found


def entities(up: Installation, path: str) -> dict[str, dict[str, object]]:
    """What a list of core entities holds, by id."""
    answer = up.api("GET", f"/v2/control-planes/{up.control_plane_id()}/core-entities/{path}?size=1000")
    assert answer.status == 200, answer.body
    return {row["id"]: row for row in answer.json()["data"]}


def key_of(up: Installation) -> str:
    return (up.data / "demo" / "key").read_text().strip()


def shop_ports(up: Installation) -> dict[str, str]:
    values = json.loads((up.data / "demo" / "state.json").read_text())["values"]
    return {name: values[name] for name in ("SHOP_1", "SHOP_2", "SHOP_3", "ORDERS", "PAYMENTS")}


def is_listening(port: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def test_the_configuration_has_something_of_everything(demo: Installation) -> None:
    assert len(entities(demo, "services")) == 9
    plugins = entities(demo, "plugins").values()
    limits = [plugin for plugin in plugins if plugin["name"] == "rate-limiting"]
    scopes = {name for plugin in limits for name in ("route", "consumer", "consumer_group") if plugin[name]}
    assert scopes == {"route", "consumer", "consumer_group"}
    assert {"cors", "correlation-id", "key-auth", "acl"} <= {plugin["name"] for plugin in plugins}
    assert len(entities(demo, "consumer_groups/partners/consumers")) == 2
    assert len(entities(demo, "upstreams/shop.internal/targets")) == 3
    assert [sni["name"] for sni in entities(demo, "snis").values()] == ["shop.twinplane.localhost"]


def test_the_node_runs_all_of_it(demo: Installation) -> None:
    nodes = eventually(lambda: demo.api("GET", f"/v2/control-planes/{demo.control_plane_id()}/nodes").json()["items"])
    assert nodes[0]["compatibility_status"]["state"] == "COMPATIBILITY_STATE_FULLY_COMPATIBLE", nodes


def test_callers_are_seen_with_many_statuses_and_names(demo: Installation) -> None:
    consumers = {row["id"]: row["username"] for row in entities(demo, "consumers").values()}
    routes = {row["id"]: row["name"] for row in entities(demo, "routes").values()}
    plane = demo.control_plane_id()

    def seen() -> bool:
        found = demo.requests()
        statuses = {int(one["response_http_status"]) for one in found}
        callers = {consumers.get(str(one["consumer"]).removeprefix(f"{plane}:")) for one in found}
        used = {routes.get(str(one["route"]).removeprefix(f"{plane}:")) for one in found}
        # The route of the mobile app is served over TLS alone, with the certificate of the configuration.
        is_served = {200, 201, 401, 404} <= statuses and "catalogue-of-the-shop" in used
        return is_served and {"web-shop", "mobile-app", "wholesale", "back-office"} <= callers

    eventually(seen, seconds=SLOW_S, every=0.5)


def test_a_person_gets_in_with_the_key_and_not_without(demo: Installation) -> None:
    assert demo.proxy("GET", "/orders").status == 401
    answer = demo.proxy("GET", "/orders", headers={"apikey": key_of(demo)})
    assert answer.status == 200
    assert "orders" in answer.json()
    assert answer.headers["X-Request-ID"]
    assert demo.proxy("GET", "/accounts/1", headers={"apikey": key_of(demo)}).status == 403
    eventually(lambda: demo.proxy("GET", "/search/suggest?q=a").status == 429, seconds=SLOW_S, every=0)


def test_what_the_demo_keeps_is_for_its_owner_alone(demo: Installation) -> None:
    for name in ("key", "state.json", "shop.key"):
        assert stat.S_IMODE((demo.data / "demo" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((demo.data / "demo").stat().st_mode) == 0o700


def test_nothing_listens_beyond_this_machine(demo: Installation) -> None:
    listening = 0
    for pid in (demo.process.pid, demo.ports["pids"]["data_plane"]):
        own = {path.readlink().name for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                    listening += 1
                    assert fields[1].startswith("0100007F:"), line
    assert listening >= 7


def test_a_second_start_keeps_what_was_changed_and_follows_moved_ports(tmp_path: Path) -> None:
    with installation(tmp_path, "--demo") as first:
        core = f"/v2/control-planes/{first.control_plane_id()}/core-entities"
        assert first.api("PATCH", f"{core}/services/reviews", {"tags": ["mine"]}).status == 200
        assert first.api("DELETE", f"{core}/routes/version-1").status == 204
        assert first.api("POST", f"{core}/services", {"name": "own", "host": "own.example"}).status == 201
        before, key = shop_ports(first), key_of(first)
        assert all(map(is_listening, before.values()))
        pids = list(first.ports["pids"].values())
    assert first.process.returncode == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    with ExitStack() as stack:
        # Where somebody else was faster to listen there, the port is as taken.
        with suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", int(before["SHOP_1"]))))
        second = stack.enter_context(installation(tmp_path, "--demo"))
        after = shop_ports(second)
        assert after["SHOP_1"] != before["SHOP_1"]
        assert key_of(second) == key
        services = {row["name"]: row for row in entities(second, "services").values()}
        assert services["reviews"]["tags"] == ["mine"]
        assert "own" in services
        assert "version-1" not in {row["name"] for row in entities(second, "routes").values()}
        targets = {str(row["target"]) for row in entities(second, "upstreams/shop.internal/targets").values()}
        assert targets == {f"127.0.0.1:{after[name]}" for name in ("SHOP_1", "SHOP_2", "SHOP_3")}
        eventually(lambda: second.proxy("GET", "/catalogue/1").status == 200)


def test_a_configuration_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    with installation(tmp_path) as own:
        assert own.admin("PUT", "/services/own", {"host": "own.example"}).status == 200
        assert own.admin("PUT", "/services/own/routes/own", {"paths": ["/own"]}).status == 200
    names = ("port", "proxy-port", "proxy-ssl-port", "admin-port", "status-port")
    ports = [word for name, port in zip(names, free_ports(5), strict=True) for word in (f"--{name}", str(port))]
    refused = run_twinplane("up", "--demo", "--data", str(own.data), *ports)
    output, _ = refused.communicate(timeout=SLOW_S)
    assert refused.returncode == 1
    assert b"has a configuration of its own (1 routes, 1 services); nothing was changed" in output
    assert b"Traceback" not in output
    assert not (own.data / "demo").exists()
    control = Control.open(own.data, config_hash=config_hash)
    try:
        scope = control.control_planes.default(control.organizations.first().id, "us").scope
        kinds = ("services", "routes", "consumers", "upstreams", "plugins", "certificates")
        assert [control.changes.count(scope, kind) for kind in kinds] == [1, 1, 0, 0, 0, 0]
    finally:
        control.close()


def test_what_an_interrupted_start_left_undone_is_put_in_once(demo: Installation) -> None:
    plane = demo.control_plane_id()
    client = PlatformClient("localhost", demo.ports["port"], demo.data / "ca.pem", demo.token)
    state = load_state(demo.data / "demo" / "state.json")
    assert state is not None
    pouring = Pouring(client, plane)
    whole = pouring.found()
    assert demo.api("DELETE", f"/v2/control-planes/{plane}/core-entities/consumers/price-watch").status == 204
    assert pouring.found() != whole
    pouring.pour(read_document(state.values))
    assert pouring.found() == whole
