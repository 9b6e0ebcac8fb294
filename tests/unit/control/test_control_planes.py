"""Promises of control planes."""

from __future__ import annotations

import re

import pytest
from tests.unit.control.conftest import Clock

from twinplane.control import Actor, Control, ControlPlane
from twinplane.control.errors import InvalidParameters, NameTaken, NotFound, Predefined


@pytest.fixture
def organization(control: Control) -> str:
    return control.organizations.first().id


def _rules(refusal: pytest.ExceptionInfo[InvalidParameters]) -> set[tuple[str, str]]:
    return {(parameter.field, parameter.rule) for parameter in refusal.value.parameters}


def test_every_region_has_a_default_that_stays(control: Control, organization: str, actor: Actor) -> None:
    for region in ("us", "eu"):
        plane = control.control_planes.default(organization, region)
        assert (plane.name, plane.region, plane.cluster_type) == ("default", region, "CLUSTER_TYPE_CONTROL_PLANE")
        with pytest.raises(Predefined):
            control.control_planes.delete(organization, region, actor, plane.id)
        with pytest.raises(Predefined):
            control.control_planes.update(organization, region, actor, plane.id, {"name": "other"})


def test_endpoints_carry_prefix_region_domain_and_port(
    plane: ControlPlane, control: Control, organization: str
) -> None:
    assert re.fullmatch(r"[0-9a-f]{10}", plane.prefix)
    assert plane.control_plane_endpoint == f"https://{plane.prefix}.us.cp0.platform.test:9443"
    assert plane.telemetry_endpoint == f"https://{plane.prefix}.us.tp0.platform.test:9443"
    control.control_planes.advertise(443)
    shown = control.control_planes.get(organization, "us", plane.id)
    assert shown.control_plane_endpoint == f"https://{plane.prefix}.us.cp0.platform.test"
    found = control.control_planes.find_by_prefix(plane.prefix)
    assert found is not None
    assert found.id == plane.id


def test_a_control_plane_is_made_with_defaults(control: Control, organization: str, actor: Actor) -> None:
    plane = control.control_planes.create(organization, "us", actor, {"name": "orders", "labels": {"env": "test"}})
    assert control.control_planes.get(organization, "us", plane.id) == plane
    assert (plane.description, plane.labels, plane.auth_type) == ("", {"env": "test"}, "pinned_client_certs")
    assert plane.router_flavor == "traditional_compatible"


def test_a_name_is_taken_once_in_each_region(control: Control, organization: str, actor: Actor) -> None:
    control.control_planes.create(organization, "us", actor, {"name": "orders"})
    with pytest.raises(NameTaken):
        control.control_planes.create(organization, "us", actor, {"name": "orders"})
    control.control_planes.create(organization, "eu", actor, {"name": "orders"})


def test_a_control_plane_is_seen_only_in_its_region_and_organization(
    control: Control, organization: str, plane: ControlPlane
) -> None:
    for wrong in ((organization, "eu"), ("another", "us")):
        with pytest.raises(NotFound):
            control.control_planes.get(*wrong, plane.id)
    with pytest.raises(NotFound):
        control.control_planes.create(organization, "mars", Actor("user", "u", "u"), {"name": "orders"})


def test_every_violation_is_told_at_once(control: Control, organization: str, actor: Actor) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        control.control_planes.create(
            organization,
            "us",
            actor,
            {
                "name": "x",
                "description": 5,
                "cluster_type": "nope",
                "cloud_gateway": "yes",
                "labels": {"kong-x": "a", "ok": "", "-bad": "a", "KONGCTL-namespace": "fine"},
                "proxy_urls": [{"host": "h", "port": 0}],
                "surprise": 1,
            },
        )
    assert _rules(refusal) == {
        ("name", "min_length"),
        ("description", "is_string"),
        ("cluster_type", "enum"),
        ("cloud_gateway", "is_boolean"),
        ("labels.kong-x", "is_label"),
        ("labels.ok", "is_label"),
        ("labels.-bad", "is_label"),
        ("proxy_urls.0.port", "min"),
        ("proxy_urls.0.protocol", "required"),
        ("surprise", "unknown_property"),
    }


def test_a_change_touches_only_what_it_names(control: Control, organization: str, actor: Actor, clock: Clock) -> None:
    plane = control.control_planes.create(
        organization, "us", actor, {"name": "orders", "labels": {"a": "1", "b": "2"}, "description": "d"}
    )
    clock.now += 5
    changed = control.control_planes.update(organization, "us", actor, plane.id, {"labels": {"a": None, "c": "3"}})
    assert (changed.labels, changed.description, changed.name) == ({"c": "3"}, "d", "orders")
    assert changed.updated_at == clock.now
    assert changed.created_at == plane.created_at
    with pytest.raises(InvalidParameters) as refusal:
        control.control_planes.update(organization, "us", actor, plane.id, {"cluster_type": "x", "name": None})
    assert _rules(refusal) == {("cluster_type", "unknown_property"), ("name", "type")}


def test_lists_are_filtered_sorted_and_numbered(
    control: Control, organization: str, actor: Actor, clock: Clock
) -> None:
    for number in range(5):
        clock.now += 1
        labels = {"env": "prod" if number % 2 else "test"}
        fields = {"name": f"plane-{number}", "labels": labels, "cloud_gateway": number == 3}
        control.control_planes.create(organization, "us", actor, fields)

    def names(**query: object) -> list[str]:
        found = control.control_planes.list(organization, "us", **query)  # type: ignore[arg-type]
        return [plane.name for plane in found.rows]

    assert names() == ["default", *(f"plane-{number}" for number in range(5))]
    assert names(filters={"name": {"eq": "plane-2"}}) == ["plane-2"]
    assert names(filters={"name": {"contains": "LANE"}}, size=2, number=2) == ["plane-2", "plane-3"]
    assert names(filters={"name": {"neq": "default", "contains": "4"}}) == ["plane-4"]
    assert names(labels="env:prod") == ["plane-1", "plane-3"]
    assert names(labels="env", sort="name desc", size=1) == ["plane-4"]
    assert names(filters={"cloud_gateway": {"eq": "true"}}) == ["plane-3"]
    assert control.control_planes.list(organization, "us", size=2, number=9).total == 6
    with pytest.raises(InvalidParameters) as refusal:
        names(filters={"name": {"gt": "a"}, "nope": {"eq": "b"}}, sort="prefix", size=0)
    assert len(refusal.value.parameters) == 4


def test_deleting_tells_subscribers_and_keeps_the_history(control: Control, organization: str, actor: Actor) -> None:
    plane = control.control_planes.create(organization, "us", actor, {"name": "orders"})
    told: list[str] = []
    control.control_planes.on_deleted(told.append)
    control.control_planes.delete(organization, "us", actor, plane.id)
    assert told == [plane.id]
    with pytest.raises(NotFound):
        control.control_planes.get(organization, "us", plane.id)
    changes = control.history.list(plane.scope)
    assert [(change.operation, change.actor.name) for change in changes] == [("delete", "tester"), ("create", "tester")]
