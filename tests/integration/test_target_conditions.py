"""What a control plane is told of an upstream of which every target is down: real processes, real probes."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.integration.installation import Upstream, eventually
from tests.integration.planes import Planes

CODE = "upstream_without_targets"


def test_an_upstream_without_targets_is_told_until_it_has_one(tmp_path: Path) -> None:
    planes = Planes(tmp_path)
    # A port that nobody else takes and nobody answers.
    with Upstream() as upstream, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        active = {
            "type": "tcp",
            "healthy": {"interval": 1, "successes": 1},
            "unhealthy": {"interval": 1, "tcp_failures": 1},
        }
        try:
            planes.start_control_plane()
            planes.join()
            planes.admin("PUT", "/upstreams/pool.test", {"healthchecks": {"active": active}})
            planes.admin("POST", "/upstreams/pool.test/targets", {"target": f"127.0.0.1:{silent.getsockname()[1]}"})
            planes.admin("PUT", "/services/s", {"url": "http://pool.test/", "retries": 0})
            planes.admin("PUT", "/services/s/routes/r", {"paths": ["/pool"]})
            planes.start_node()
            eventually(lambda: planes.issues() == [CODE], seconds=90)
            assert planes.conditions() == [CODE]
            assert planes.proxy("GET", "/pool").status == 503
            assert upstream.seen == []

            planes.admin("POST", "/upstreams/pool.test/targets", {"target": f"127.0.0.1:{upstream.port}"})
            eventually(lambda: planes.issues() == [], seconds=90)
            eventually(lambda: planes.proxy("GET", "/pool").status == 200, seconds=30)
        finally:
            planes.stop()
