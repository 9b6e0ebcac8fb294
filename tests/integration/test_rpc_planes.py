"""Both planes as processes that speak version 2 to each other, through the real front door and into the real core."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.installation import Upstream, eventually
from tests.integration.planes import Planes

RPC = {"TWINPLANE_CLUSTER_RPC": "on", "TWINPLANE_CLUSTER_RPC_SYNC": "on"}


@pytest.fixture
def planes(tmp_path: Path) -> Iterator[Planes]:
    made = Planes(tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


def row_of(planes: Planes) -> dict[str, object]:
    nodes = planes.api("GET", f"/v2/control-planes/{planes.control_plane_id}/nodes").json()["items"]
    found: dict[str, object] = nodes[0] if nodes else {}
    return found


def test_changes_reach_the_node_as_deltas(planes: Planes, upstream: Upstream) -> None:
    planes.control_plane_environ = RPC
    planes.start_control_plane()
    planes.join()
    planes.start_node(incremental_sync="on")
    planes.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"})
    planes.admin("PUT", "/services/s/routes/r", {"paths": ["/a"]})
    eventually(lambda: planes.proxy("GET", "/a").status == 200, seconds=40)
    planes.admin("PATCH", "/routes/r", {"paths": ["/b"]})
    eventually(lambda: planes.proxy("GET", "/b").status == 200)
    assert planes.proxy("GET", "/a").status == 404
    planes.admin("PATCH", "/services/s", {"enabled": False})
    eventually(lambda: planes.proxy("GET", "/b").status == 404)
    planes.admin("PATCH", "/services/s", {"enabled": True})
    eventually(lambda: planes.proxy("GET", "/b").status == 200)
    planes.admin("DELETE", "/routes/r")
    eventually(lambda: planes.proxy("GET", "/b").status == 404)
    # The row says which version runs: a number, with zeros before it.
    row = eventually(lambda: (row := row_of(planes)) and str(row["config_hash"]).startswith("0" * 20) and row)
    assert int(str(row["config_hash"])) > 0
    assert planes.status("GET", "/status/ready").status == 200
    figures = planes.admin("GET", "/metrics").body.decode()
    assert "twinplane_link_connections 2\n" in figures
    assert "# TYPE twinplane_link_refused_total counter" in figures


def test_a_node_that_would_take_deltas_is_served_without_them(planes: Planes, upstream: Upstream) -> None:
    planes.start_control_plane()
    planes.join()
    planes.start_node(cluster_rpc="on", cluster_rpc_sync="on")
    planes.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"})
    planes.admin("PUT", "/services/s/routes/r", {"paths": ["/a"]})
    eventually(lambda: planes.proxy("GET", "/a").status == 200, seconds=40)
    eventually(planes.in_sync)
