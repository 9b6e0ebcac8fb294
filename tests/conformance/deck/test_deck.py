"""decK, unchanged, against both faces: ping, sync, an empty diff, dump, apply, validate, reset."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conformance.deck.client import Deck, cached_deck, has_go
from tests.conformance.deck.connect_proxy import ConnectProxy
from tests.integration.installation import Client, Installation, Upstream, eventually, installation

BOOKSHOP = Path(__file__).parents[3] / "examples/bookshop/kong.yaml"

pytestmark = pytest.mark.skipif(not has_go(), reason="Go is not installed: decK cannot be built")

# Every kind of entity that decK moves, with plugins in several scopes.
EVERYTHING: dict[str, Any] = {
    "_format_version": "3.0",
    "services": [
        {
            "name": "orders",
            "url": "https://orders.internal:8443/v1",
            "retries": 2,
            "tags": ["team-a", "prod"],
            "routes": [
                {"name": "orders", "paths": ["/orders"], "methods": ["GET", "POST"], "hosts": ["shop.example"]},
                {"name": "orders-regex", "paths": ["~/o/(?<id>[0-9]+)$"], "headers": {"x-version": ["1", "2"]}},
            ],
            "plugins": [
                {"name": "rate-limiting", "config": {"minute": 5, "policy": "local"}},
                {"name": "http-log", "config": {"http_endpoint": "http://127.0.0.1:1/log"}},
            ],
        }
    ],
    "routes": [{"name": "no-service", "paths": ["/none"], "plugins": [{"name": "request-termination"}]}],
    "upstreams": [
        {
            "name": "pool.internal",
            "algorithm": "consistent-hashing",
            "hash_on": "header",
            "hash_on_header": "X-Session",
            "healthchecks": {"passive": {"unhealthy": {"http_failures": 3}}},
            "targets": [{"target": "10.0.0.1:80", "weight": 10}, {"target": "10.0.0.2:80"}],
        }
    ],
    "consumers": [
        {
            "username": "ada",
            "custom_id": "c-1",
            "keyauth_credentials": [{"key": "ada-key"}],
            "acls": [{"group": "g1"}, {"group": "g2"}],
            "jwt_secrets": [{"key": "iss", "secret": "s", "algorithm": "HS256"}],
            "hmacauth_credentials": [{"username": "ada", "secret": "s"}],
            "plugins": [{"name": "request-transformer", "config": {"add": {"headers": ["a:b"]}}}],
        }
    ],
    "plugins": [{"name": "prometheus"}, {"name": "cors", "config": {"origins": ["https://a.example"]}}],
    "vaults": [{"prefix": "my-env", "name": "env", "config": {"prefix": "SECRET_"}}],
}


@pytest.fixture(scope="module")
def program() -> Path:
    return cached_deck()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("deck"), "--domain", "konghq.local") as found:
        yield found


@pytest.fixture(params=["gateway", "konnect"])
def deck(request: pytest.FixtureRequest, program: Path, up: Installation) -> Iterator[Deck]:
    if request.param == "gateway":
        yield Deck(program, ["--kong-addr", f"http://localhost:{up.ports['admin_port']}"], {})
        return
    with ConnectProxy(up.ports["port"]) as proxy:
        address = f"https://us.api.konghq.local:{up.ports['port']}"
        options = ["--konnect-addr", address, "--konnect-token", up.token, "--konnect-control-plane-name", "default"]
        environ = {
            "HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}",
            "SSL_CERT_FILE": str(up.data / "ca.pem"),
        }
        yield Deck(program, options, environ)


def written(tmp_path: Path, document: dict[str, Any]) -> str:
    """The path of a file with the document."""
    path = tmp_path / "kong.json"
    path.write_text(json.dumps(document))
    return str(path)


def test_a_file_of_everything_syncs_and_the_diff_is_empty(deck: Deck, tmp_path: Path) -> None:
    path = written(tmp_path, EVERYTHING)
    deck("reset", "--force")
    created = deck("sync", path)
    assert "Created: 0" not in created
    deck("diff", "--non-zero-exit-code", path)
    again = deck("sync", path)
    assert "Created: 0" in again
    assert "Updated: 0" in again
    assert "Deleted: 0" in again


def test_a_dump_holds_what_was_synced_and_syncs_without_change(deck: Deck, tmp_path: Path) -> None:
    path = written(tmp_path, EVERYTHING)
    deck("reset", "--force")
    deck("sync", path)
    dumped = tmp_path / "dump.yaml"
    deck("dump", "-o", str(dumped), "--yes")
    document = yaml.safe_load(dumped.read_text())
    assert {service["name"] for service in document["services"]} == {"orders"}
    assert {route["name"] for route in document["services"][0]["routes"]} == {"orders", "orders-regex"}
    assert document["consumers"][0]["keyauth_credentials"][0]["key"] == "ada-key"
    assert {target["target"] for target in document["upstreams"][0]["targets"]} == {"10.0.0.1:80", "10.0.0.2:80"}
    deck("diff", "--non-zero-exit-code", str(dumped))


def test_a_changed_file_updates_and_deletes_just_what_changed(deck: Deck, tmp_path: Path) -> None:
    deck("reset", "--force")
    deck("sync", written(tmp_path, EVERYTHING))
    changed = json.loads(json.dumps(EVERYTHING))
    changed["services"][0]["retries"] = 7
    changed["services"][0]["plugins"][0]["config"]["minute"] = 9
    changed["plugins"].pop()
    output = deck("sync", written(tmp_path, changed))
    assert "Created: 0" in output
    assert "Updated: 2" in output
    assert "Deleted: 1" in output


def test_apply_adds_and_deletes_nothing(deck: Deck, tmp_path: Path) -> None:
    deck("reset", "--force")
    deck("sync", written(tmp_path, EVERYTHING))
    more = {"_format_version": "3.0", "services": [{"name": "extra", "host": "extra.internal"}]}
    output = deck("apply", written(tmp_path, more))
    assert "Created: 1" in output
    assert "Deleted: 0" in output


def test_validate_accepts_good_files_and_names_what_is_wrong(deck: Deck, tmp_path: Path) -> None:
    deck("validate", written(tmp_path, EVERYTHING))
    wrong = {"_format_version": "3.0", "services": [{"name": "x", "host": "h", "port": 99999}]}
    assert "between 0 and 65535" in deck("validate", written(tmp_path, wrong), status=1)


def test_tags_select_a_part(deck: Deck, tmp_path: Path) -> None:
    deck("reset", "--force")
    tagged = {
        "_format_version": "3.0",
        "_info": {"select_tags": ["mine"]},
        "services": [{"name": "mine", "host": "mine.internal"}],
    }
    deck("sync", written(tmp_path, {"_format_version": "3.0", "services": [{"name": "theirs", "host": "t.internal"}]}))
    deck("sync", written(tmp_path, tagged))
    dumped = tmp_path / "dump.yaml"
    deck("dump", "-o", str(dumped), "--yes")
    assert {each["name"] for each in yaml.safe_load(dumped.read_text())["services"]} == {"mine", "theirs"}


def test_reset_leaves_nothing(deck: Deck, tmp_path: Path, up: Installation) -> None:
    deck("sync", written(tmp_path, EVERYTHING))
    deck("reset", "--force")
    for collection in ("services", "routes", "consumers", "plugins", "upstreams", "vaults", "key-auths"):
        assert up.admin("GET", f"/{collection}").json()["data"] == []


def test_ping_finds_the_gateway(program: Path, up: Installation) -> None:
    deck = Deck(program, ["--kong-addr", f"http://localhost:{up.ports['admin_port']}"], {})
    assert "3.9.3" in deck("ping")


def test_a_wrong_token_is_told(program: Path, up: Installation) -> None:
    with ConnectProxy(up.ports["port"]) as proxy:
        address = f"https://us.api.konghq.local:{up.ports['port']}"
        deck = Deck(
            program,
            ["--konnect-addr", address, "--konnect-token", "kpat_wrong"],
            {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "SSL_CERT_FILE": str(up.data / "ca.pem")},
        )
        assert "401" in deck("dump", "-o", "-", status=1)
        assert any(name.startswith("global.api.konghq.local") for name in proxy.names)


def test_the_bookshop_is_served_protected_and_accounted_for(program: Path, up: Installation, tmp_path: Path) -> None:
    """The example as a user runs it: 10,000 requests, some refused, every one of them accounted for."""
    with Upstream() as upstream:
        deck = Deck(
            program,
            ["--kong-addr", f"http://localhost:{up.ports['admin_port']}"],
            {"DECK_BOOKSHOP_PORT": str(upstream.port)},
        )
        deck("reset", "--force")
        deck("sync", str(BOOKSHOP))
        # Until the node runs all of it, it may answer 404 (no route yet) or 503 (no target yet): counted as well.
        probes: Counter[int] = Counter()

        def probe() -> bool:
            status = up.proxy("GET", "/catalogue").status
            probes[status] += 1
            return status == 200

        eventually(probe)
        from tests.conformance.deck.traffic import drive

        answered = drive(up.ports["proxy_port"], total=10_000)
        refused = sum(count for status, count in answered.items() if status in (401, 403, 404, 429, 503))
        assert sum(answered.values()) == 10_000
        assert {200, 401, 403, 429, 503} <= answered.keys()
        passed = [each for each in upstream.seen if "X-Traffic" in each[2]]
        assert len(passed) == 10_000 - refused
        assert all(
            "apikey" not in {name.lower() for name in each[2]} for each in passed if each[1].startswith("/orders")
        )
    body = {
        "metrics": ["request_count"],
        "dimensions": ["status_code"],
        "time_range": {"type": "relative", "time_range": "15m"},
    }

    def counted() -> dict[str, int]:
        answer = up.api("POST", "/v2/metrics", body)
        assert answer.status == 200, answer.body
        return {str(row["event"]["status_code"]): row["event"]["request_count"] for row in answer.json()["data"]}

    expected = {str(status): count for status, count in (probes + Counter(answered)).items()}
    eventually(lambda: sum(counted().values()) >= sum(expected.values()), seconds=30)
    assert counted() == expected


def test_the_admin_face_and_the_konnect_face_show_one_store(up: Installation) -> None:
    assert up.admin("PUT", "/services/both", {"host": "both.internal"}).status == 200
    path = f"/v2/control-planes/{up.control_plane_id()}/core-entities/services/both"
    api = Client(up.ports["port"], ca=up.data / "ca.pem", token=up.token)
    assert api("GET", path).json()["host"] == "both.internal"
