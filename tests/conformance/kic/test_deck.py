"""decK, unchanged, as the engine of an ingress controller's uploads: by client certificate, below its control plane."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.certificates import Leaf
from tests.conformance.deck.client import Deck, cached_deck, has_go
from tests.conformance.deck.connect_proxy import ConnectProxy
from tests.conformance.deck.test_deck import EVERYTHING
from tests.conformance.kic.controller import HOST, new_plane, pin
from tests.integration.installation import installation

pytestmark = pytest.mark.skipif(not has_go(), reason="Go is not installed: decK cannot be built")


def test_a_sync_by_certificate_leaves_an_empty_diff_and_others_may_only_read(tmp_path: Path) -> None:
    leaf = Leaf.self_signed("ingress")
    file = tmp_path / "kong.json"
    # As a client of a gateway decK fills upstreams from schemas of 3.9, which know less than Konnect's rows show.
    file.write_text(json.dumps({name: part for name, part in EVERYTHING.items() if name != "upstreams"}))
    with installation(tmp_path) as up, ConnectProxy(up.ports["port"]) as proxy:
        plane = new_plane(up)
        pin(up, plane, leaf.certificate)
        address = f"https://{HOST}:{up.ports['port']}/kic/api/control-planes/{plane}"
        options = ["--kong-addr", address, "--ca-cert-file", str(up.data / "ca.pem")]
        # As texts: the pinned version does not read the files that its options name.
        identity = {"DECK_TLS_CLIENT_CERT": leaf.certificate, "DECK_TLS_CLIENT_KEY": leaf.key}
        environ = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        deck = Deck(cached_deck(), options, {**environ, **identity})
        assert "Created: 0" not in deck("sync", str(file))
        deck("diff", "--non-zero-exit-code", str(file))
        again = deck("sync", str(file))
        assert "Created: 0" in again
        assert "Updated: 0" in again
        core = f"/v2/control-planes/{plane}/core-entities"
        assert {each["name"] for each in up.api("GET", f"{core}/services").json()["data"]} == {"orders"}
        assert up.api("DELETE", f"{core}/services/orders").status == 403
        without = Deck(cached_deck(), options, environ)
        assert "401" in without("sync", str(file), status=1)
        deck("reset", "--force")
        assert up.api("GET", f"{core}/services").json()["data"] == []
