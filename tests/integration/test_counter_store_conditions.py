"""What people are told of a Redis that is lost and found again: real processes, the password from the environment."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.integration.installation import Upstream, eventually
from tests.integration.planes import Planes
from tests.integration.redis_server import redis_server

CODE = "counter_store_unreachable"
SECRET = "a-long-password"


def test_a_store_that_is_lost_is_told_once_until_it_is_back(tmp_path: Path) -> None:
    planes = Planes(tmp_path)
    with Upstream() as upstream, redis_server(password=SECRET) as redis:
        place = {"host": "127.0.0.1", "port": redis.port, "password": "{vault://env/counting-password}"}
        config = {"year": 100_000, "policy": "redis", "fault_tolerant": False, "redis": place}
        gauge = f'twinplane_counter_store_up{{store="127.0.0.1:{redis.port}/0"}}'

        def is_told(value: int) -> bool:
            return f"{gauge} {value}" in planes.status("GET", "/metrics").body.decode()

        try:
            planes.start_control_plane()
            planes.join()
            planes.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}"})
            planes.admin("PUT", "/services/s/routes/r", {"paths": ["/counted"]})
            planes.admin("POST", "/routes/r/plugins", {"name": "rate-limiting", "config": config})
            planes.node_environ["COUNTING_PASSWORD"] = SECRET
            planes.start_node()
            eventually(lambda: planes.proxy("GET", "/counted").status == 200, seconds=60)
            assert is_told(1)

            redis.stop()
            eventually(lambda: planes.proxy("GET", "/counted").status == 500, seconds=60)
            eventually(lambda: planes.conditions() == [CODE] and planes.issues() == [CODE], seconds=60)
            assert is_told(0)
            assert all(planes.proxy("GET", "/counted").status == 500 for _ in range(20))
            metrics = planes.status("GET", "/metrics").body.decode()
            assert 'reason="unreachable"' in metrics

            redis.start()
            eventually(lambda: planes.proxy("GET", "/counted").status == 200, seconds=60)
            eventually(lambda: planes.conditions() == [] and is_told(1), seconds=60)

            assert planes.node is not None
            planes.node.send_signal(signal.SIGTERM)
            told = planes.node.communicate(timeout=60)[0].decode()
            assert told.count("counter_store_lost") == told.count("counter_store_found") == 1
            assert SECRET not in told
        finally:
            planes.stop()
