"""What a node starts from, as real processes: its cache, sealed or not, a fallback, a declarative file, nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.installation import Upstream, eventually
from tests.integration.planes import Planes

from twinplane.node.authority import self_signed


@pytest.fixture
def planes(tmp_path: Path) -> Iterator[Planes]:
    found = Planes(tmp_path)
    try:
        found.start_control_plane()
        found.join()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


def publish(planes: Planes, upstream: Upstream, path: str) -> None:
    planes.admin("PUT", "/services/s", {"url": f"http://127.0.0.1:{upstream.port}/"})
    planes.admin("PUT", "/services/s/routes/r", {"paths": [path]})


def serves(planes: Planes, path: str) -> bool:
    return planes.proxy("GET", path).status == 200


def test_an_encrypted_cache_is_served_from_and_a_foreign_one_is_told(planes: Planes, upstream: Upstream) -> None:
    publish(planes, upstream, "/kept")
    planes.start_node(cache_encryption="on")
    eventually(lambda: serves(planes, "/kept"))
    planes.kill(planes.control_plane)
    planes.kill(planes.node)
    assert b"/kept" not in (planes.node_directory / "config.json.gz").read_bytes()
    planes.start_node(cache_encryption="on")
    assert serves(planes, "/kept")
    planes.kill(planes.node)

    # A certificate that was replaced while the node was stopped.
    old_key = planes.node_directory / "old.key"
    shutil.copy(planes.node_directory / "node.key", old_key)
    identity = self_signed("node", days=1, client=True)
    (planes.node_directory / "node.pem").write_text(identity.certificate)
    (planes.node_directory / "node.key").write_text(identity.key)
    planes.start_node(cache_encryption="on")
    assert planes.proxy("GET", "/kept").status == 404
    assert planes.status("GET", "/status/ready").status == 503
    assert planes.conditions() == ["cache_damaged"]
    planes.kill(planes.node)
    for former in (old_key, ""):
        planes.start_node(cache_encryption="on", cache_encryption_old_keys=former)
        assert serves(planes, "/kept")
        planes.kill(planes.node)


def test_damage_is_told_to_the_control_plane_until_it_is_mended(planes: Planes, upstream: Upstream) -> None:
    publish(planes, upstream, "/one")
    planes.start_node()
    eventually(lambda: serves(planes, "/one"))
    planes.kill(planes.node)
    (planes.node_directory / "config.json.gz").write_bytes(b"")
    (planes.node_directory / "config.json.gz.new").mkdir()
    planes.start_node()
    eventually(lambda: serves(planes, "/one"))
    eventually(lambda: {"cache_damaged", "cache_unwritable"} <= set(planes.issues()))
    (planes.node_directory / "config.json.gz.new").rmdir()
    eventually(lambda: planes.conditions() == [], seconds=40)
    eventually(lambda: planes.issues() == [])
    planes.kill(planes.control_plane)
    planes.kill(planes.node)
    planes.start_node()
    assert serves(planes, "/one")


def test_a_read_only_prefix_is_served_from_and_told_until_it_is_writable(planes: Planes, upstream: Upstream) -> None:
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root writes anywhere, and there is no setpriv to take that from it")
        planes.before_node = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    publish(planes, upstream, "/one")
    planes.start_node()
    eventually(lambda: serves(planes, "/one"))
    planes.kill(planes.node)
    # What the two planes share is not the node's: its prefix alone is taken away.
    prefix = planes.node_directory / "prefix"
    prefix.mkdir()
    (planes.node_directory / "config.json.gz").rename(prefix / "config.json.gz")
    prefix.chmod(0o500)
    try:
        planes.start_node(prefix=prefix)
        assert serves(planes, "/one")
        publish(planes, upstream, "/two")
        eventually(lambda: serves(planes, "/two"))
        assert planes.conditions() == ["cache_unwritable", "telemetry_not_durable"]
        eventually(lambda: {"cache_unwritable", "telemetry_not_durable"} <= set(planes.issues()))
        assert planes.status("GET", "/status/ready").status == 200
    finally:
        prefix.chmod(0o700)
    eventually(lambda: "cache_unwritable" not in planes.conditions(), seconds=90)
    planes.kill(planes.control_plane)
    assert planes.node is not None
    planes.node.kill()
    output = planes.node.communicate()[0].decode()
    assert output.count("warning twinplane.node.config cache_unwritable") == 1
    assert output.count("prefix_unusable") == 1
    planes.start_node(prefix=prefix)
    assert serves(planes, "/two")


def test_a_new_node_starts_from_the_fallback_and_then_from_its_control_plane(
    planes: Planes, upstream: Upstream, tmp_path: Path
) -> None:
    storage = f"file://{tmp_path}/shared"
    publish(planes, upstream, "/exported")
    planes.start_node(
        cluster_fallback_config_export="on",
        cluster_fallback_config_storage=storage,
        cluster_fallback_config_export_delay=0,
    )
    eventually((tmp_path / "shared" / "3.9.3" / "config.json.gz").exists)
    eventually(lambda: serves(planes, "/exported"))
    planes.kill(planes.node)
    publish(planes, upstream, "/newer")
    planes.kill(planes.control_plane)

    fallback = {"cluster_fallback_config_import": "on", "cluster_fallback_config_storage": storage}
    planes.start_node(prefix=tmp_path / "new", **fallback)
    assert planes.status("GET", "/status/ready").status == 503
    eventually(lambda: serves(planes, "/exported"), seconds=30)
    assert planes.conditions() == ["fallback_served"]
    assert planes.status("GET", "/status/ready").status == 200
    planes.start_control_plane()
    eventually(lambda: serves(planes, "/newer"), seconds=40)
    assert planes.conditions() == []
    planes.kill(planes.control_plane)
    planes.kill(planes.node)
    # What the control plane said is in the cache now, and the cache goes before the fallback.
    planes.start_node(prefix=tmp_path / "new", **fallback)
    assert serves(planes, "/newer")


def test_the_cache_of_a_joined_node_goes_before_its_declarative_file(
    planes: Planes, upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "kong.json"
    service = {"name": "d", "url": f"http://127.0.0.1:{upstream.port}", "routes": [{"name": "d", "paths": ["/file"]}]}
    file.write_text(json.dumps({"_format_version": "3.0", "services": [service]}))
    publish(planes, upstream, "/published")
    planes.kill(planes.control_plane)
    planes.start_node(declarative_config=file)
    assert serves(planes, "/file")
    planes.start_control_plane()
    eventually(lambda: serves(planes, "/published"), seconds=40)
    assert planes.proxy("GET", "/file").status == 404
    planes.kill(planes.control_plane)
    planes.kill(planes.node)
    planes.start_node(declarative_config=file)
    assert serves(planes, "/published")


def test_a_node_without_anything_waits_and_says_so(planes: Planes) -> None:
    planes.kill(planes.control_plane)
    planes.start_node()
    ready = planes.status("GET", "/status/ready")
    assert (ready.status, ready.json()["message"]) == (
        503,
        "no configuration available (empty configuration present)",
    )
    assert planes.proxy("GET", "/any").status == 404
    planes.start_control_plane()
    eventually(lambda: planes.status("GET", "/status/ready").status == 200, seconds=40)
