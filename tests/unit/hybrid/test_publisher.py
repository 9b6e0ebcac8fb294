"""A configuration is published whether or not the store takes its hash; that is written down later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.control_room import open_platform

from twinplane.control.errors import StoreUnwritable
from twinplane.hybrid import publisher as publisher_module
from twinplane.hybrid.publisher import Publisher


def test_a_full_store_keeps_no_publication_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "_NOTED_FROM_BYTES", 0)
    with open_platform(tmp_path) as platform:
        nodes, plane = platform.control.nodes, platform.default
        record = nodes.record_expected_hash
        recorded: list[str] = []

        def full(*_arguments: Any) -> Any:
            raise StoreUnwritable("disk full")

        def noting(control_plane_id: str, revision: int, config_hash: str) -> Any:
            recorded.append(config_hash)
            return record(control_plane_id, revision, config_hash)

        publisher = Publisher(platform.control)
        monkeypatch.setattr(nodes, "record_expected_hash", full)
        publication = publisher.publish(plane.id, None)
        assert publisher.behind({plane.id: publication.key}) == []
        monkeypatch.setattr(nodes, "record_expected_hash", noting)
        assert publisher.behind({plane.id: publication.key}) == []
        assert recorded == [publication.config_hash]
        assert nodes.expected_hash(plane.scope).hash == publication.config_hash
        publisher.behind({plane.id: publication.key})
        assert len(recorded) == 1
