"""Nodes that are a minor version older or newer than their control plane, as processes of their own."""

from __future__ import annotations

from pathlib import Path

from tests.faults.scripted_plane import PATIENCE_S
from tests.integration.installation import eventually
from tests.integration.planes import Planes

from twinplane.hybrid.compat import CONTROL_PLANE_VERSION

OURS = CONTROL_PLANE_VERSION


def version(minors: int) -> str:
    """The version that is so many minors above the control plane's."""
    return f"{OURS.major}.{OURS.minor + minors}.0"


def test_an_older_node_is_served_and_a_newer_one_is_told_why_not(tmp_path: Path) -> None:
    planes = Planes(tmp_path)

    def serves(text: str) -> bool:
        return text.encode() in planes.proxy("GET", "/version").body

    def write(text: str) -> None:
        answer = planes.admin("PATCH", f"/plugins/{plugin}", {"config": {"message": text}})
        assert answer.status == 200, answer.body

    try:
        planes.start_control_plane(seconds=PATIENCE_S)
        planes.join()
        planes.admin("PUT", "/services/s", {"url": "http://127.0.0.1:1/"})
        planes.admin("PUT", "/services/s/routes/r", {"paths": ["/version"]})
        # Sticky sessions came with the control plane's own minor version; older gateways do not have them.
        upstream = {"name": "u", "algorithm": "sticky-sessions", "sticky_sessions_cookie": "c"}
        answer = planes.api("POST", f"/v2/control-planes/{planes.control_plane_id}/core-entities/upstreams", upstream)
        assert answer.status == 201, answer.body
        service = planes.admin("GET", "/services/s").json()["id"]
        body = {
            "name": "request-termination",
            "service": {"id": service},
            "config": {"status_code": 200, "message": "one"},
        }
        answer = planes.api("POST", f"/v2/control-planes/{planes.control_plane_id}/core-entities/plugins", body)
        assert answer.status == 201, answer.body
        plugin = answer.json()["id"]

        # Older: another maker's node would be sent less; one of twinplane reads everything, whatever it announces.
        planes.start_node(node_version=version(-1))
        eventually(lambda: serves("one") and planes.in_sync(), seconds=PATIENCE_S)
        assert planes.issues() == []
        write("two")
        eventually(lambda: serves("two"), seconds=PATIENCE_S)
        planes.kill(planes.node)

        # Newer: told that it is not served; it goes on with what it has.
        planes.start_node(node_version=version(1))
        eventually(lambda: planes.issues() == ["version_refused"], seconds=PATIENCE_S)
        write("three")
        assert serves("two")
        planes.kill(planes.node)

        planes.start_node(node_version=version(0))
        eventually(lambda: serves("three") and planes.in_sync(), seconds=PATIENCE_S)
        assert planes.issues() == []
    finally:
        planes.stop()
