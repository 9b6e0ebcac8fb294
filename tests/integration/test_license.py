"""A licence of the control plane at a real node: what is told, what is answered, how it starts again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.installation import Upstream, eventually, run_twinplane
from tests.integration.planes import Planes


@pytest.fixture
def planes(tmp_path: Path) -> Iterator[Planes]:
    found = Planes(tmp_path)
    try:
        found.start_control_plane()
        found.join()
        yield found
    finally:
        found.stop()


def license_of(date: str) -> dict[str, str]:
    document = {"license": {"version": 1, "signature": "00", "payload": {"license_expiration_date": date}}}
    return {"payload": json.dumps(document)}


def test_the_setting_decides_what_an_expired_licence_does(planes: Planes) -> None:
    with Upstream() as upstream:
        planes.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"})
        planes.admin("PUT", "/services/s/routes/r", {"paths": ["/x"]})
        licenses = f"/v2/control-planes/{planes.control_plane_id}/core-entities/licenses"
        created = planes.api("POST", licenses, license_of("2020-02-02"))
        assert created.status == 201, created.body
        license_path = f"{licenses}/{created.json()['id']}"
        planes.start_node()
        eventually(lambda: planes.proxy("GET", "/x").status == 200)
        assert planes.conditions() == ["license_expired"]
        eventually(lambda: planes.issues() == ["license_expired"])
        planes.kill(planes.node)

        planes.start_node(license_expiry="enforce")
        for path in ("/x", "/nowhere"):
            answer = planes.proxy("GET", path)
            assert (answer.status, answer.json()["message"]) == (
                503,
                "the license of this gateway expired on 2020-02-02",
            )
        planes.admin("PUT", "/services/s/routes/r", {"paths": ["/x", "/y"]})
        eventually(planes.in_sync)
        assert planes.proxy("GET", "/y").status == 503
        assert planes.api("PUT", license_path, license_of("2999-12-31")).status == 200
        eventually(lambda: planes.proxy("GET", "/y").status == 200)
        assert planes.conditions() == []
        assert "kong_enterprise_license_expiration" in planes.status("GET", "/metrics").body.decode()
        assert planes.api("PUT", license_path, license_of("2021-01-01")).status == 200
        eventually(lambda: planes.proxy("GET", "/y").status == 503)
        planes.kill(planes.node)

        ending = run_twinplane(
            "data-plane", "-c", str(planes.node_directory / "kong.conf"), environ={"KONG_LICENSE_EXPIRY": "restart"}
        )
        output = ending.communicate(timeout=60)[0].decode()
        assert ending.returncode == 3, output
        assert "the license expired on 2021-01-01" in output
