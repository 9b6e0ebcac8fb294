"""decK, unchanged, against a node without control plane: ping, dump, diff, and what sync is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.conformance.deck.client import Deck, cached_deck, has_go
from tests.conformance.deck.test_deck import EVERYTHING
from tests.integration.dbless import DblessNode, dbless_node

pytestmark = pytest.mark.skipif(not has_go(), reason="Go is not installed: decK cannot be built")

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DblessNode]:
    with dbless_node(tmp_path_factory.mktemp("node"), admin_token=TOKEN) as found:
        yield found


@pytest.fixture(scope="module")
def deck(node: DblessNode) -> Deck:
    address = f"http://localhost:{node.admin.port}"
    return Deck(cached_deck(), ["--kong-addr", address, "--headers", f"Kong-Admin-Token:{TOKEN}"], {})


def test_what_is_posted_is_dumped_and_differs_in_nothing(node: DblessNode, deck: Deck, tmp_path: Path) -> None:
    posted = node.admin("POST", "/config", EVERYTHING, {"Kong-Admin-Token": TOKEN})
    assert posted.status == 201, posted.body
    assert "Successfully connected" in deck("ping")
    dumped = tmp_path / "dump.yaml"
    deck("dump", "-o", str(dumped), "--yes")
    document = yaml.safe_load(dumped.read_text())
    assert [service["name"] for service in document["services"]] == ["orders"]
    assert {route["name"] for route in document["services"][0]["routes"]} == {"orders", "orders-regex"}
    assert document["consumers"][0]["keyauth_credentials"][0]["key"] == "ada-key"
    assert {target["target"] for target in document["upstreams"][0]["targets"]} == {"10.0.0.1:80", "10.0.0.2:80"}
    file = tmp_path / "kong.json"
    file.write_text(json.dumps(EVERYTHING))
    for path in (file, dumped):
        deck("diff", "--non-zero-exit-code", str(path))


def test_a_difference_is_seen(node: DblessNode, deck: Deck, tmp_path: Path) -> None:
    assert node.admin("POST", "/config", EVERYTHING, {"Kong-Admin-Token": TOKEN}).status == 201
    changed = json.loads(json.dumps(EVERYTHING))
    changed["services"][0]["retries"] = 7
    file = tmp_path / "kong.json"
    file.write_text(json.dumps(changed))
    assert '"retries": 7' in deck("diff", "--non-zero-exit-code", str(file), status=2)


def test_sync_is_told_that_nothing_is_written_one_by_one(node: DblessNode, deck: Deck, tmp_path: Path) -> None:
    assert node.admin("POST", "/config", EVERYTHING, {"Kong-Admin-Token": TOKEN}).status == 201
    changed = json.loads(json.dumps(EVERYTHING))
    changed["services"].append({"name": "new", "host": "h.test"})
    file = tmp_path / "kong.json"
    file.write_text(json.dumps(changed))
    assert "'services' entities when not using a database" in deck("sync", str(file), status=1)
    file.write_text(json.dumps(EVERYTHING))
    deck("diff", "--non-zero-exit-code", str(file))
