"""Either plane stands still for a while (SIGSTOP, SIGCONT) and goes on where it was."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.installation import Upstream, eventually
from tests.integration.planes import Planes

# With 60 both ends have long given the other up; a few seconds are enough for the node to notice.
PAUSE_S = float(os.environ.get("TWINPLANE_TEST_PAUSE_S", "8"))


@pytest.fixture
def planes(tmp_path: Path) -> Iterator[Planes]:
    found = Planes(tmp_path)
    try:
        found.start_control_plane()
        found.join()
        found.start_node()
        yield found
    finally:
        for process in (found.node, found.control_plane):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
        found.stop()


def test_a_node_that_stood_still_goes_on(planes: Planes) -> None:
    assert planes.node is not None
    with Upstream() as upstream:
        planes.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"})
        planes.admin("PUT", "/services/s/routes/r", {"paths": ["/before"]})
        eventually(lambda: planes.proxy("GET", "/before").status == 200)
        planes.node.send_signal(signal.SIGSTOP)
        # The system takes connections in its name; the answer comes when it goes on.
        asked: list[int] = []
        asking = threading.Thread(target=lambda: asked.append(_patiently(planes, "/before")))
        asking.start()
        planes.kill(planes.control_plane)
        planes.start_control_plane()
        planes.admin("PUT", "/services/s/routes/r", {"paths": ["/before", "/after"]})
        time.sleep(PAUSE_S)
        planes.node.send_signal(signal.SIGCONT)
        asking.join(60)
        assert asked == [200]
        eventually(lambda: planes.proxy("GET", "/after").status == 200)
        eventually(planes.in_sync)
        planes.node.send_signal(signal.SIGTERM)
        output = planes.node.communicate(timeout=60)[0].decode()
        assert planes.node.returncode == 0
        assert "process_resumed" in output


def test_a_control_plane_that_stood_still_goes_on(planes: Planes) -> None:
    assert planes.control_plane is not None
    with Upstream() as upstream:
        planes.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"})
        planes.admin("PUT", "/services/s/routes/r", {"paths": ["/before"]})
        eventually(lambda: planes.proxy("GET", "/before").status == 200)
        planes.control_plane.send_signal(signal.SIGSTOP)
        until = time.monotonic() + PAUSE_S
        while time.monotonic() < until:
            assert planes.proxy("GET", "/before").status == 200
            time.sleep(0.05)
        planes.control_plane.send_signal(signal.SIGCONT)
        planes.admin("PUT", "/services/s/routes/r", {"paths": ["/after"]})
        eventually(lambda: planes.proxy("GET", "/after").status == 200, seconds=60)
        eventually(planes.in_sync, seconds=60)


def _patiently(planes: Planes, path: str) -> int:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", planes.ports.proxy, timeout=PAUSE_S + 60)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
