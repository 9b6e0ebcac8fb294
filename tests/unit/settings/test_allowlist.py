"""What is to be let through follows the tables of ports and hosts, for each type of control plane and each tool."""

from __future__ import annotations

import pytest

from twinplane.settings.allowlist import Rule, Wanted, any_plane, rules_for
from twinplane.settings.network import HOSTS, PORTS, TOOLS, ControlPlaneType

D = "twin.test"
BOTH = (ControlPlaneType.GATEWAY, ControlPlaneType.KIC)


def wanted(*types: ControlPlaneType, regions: tuple[str, ...] = ("us",), **more: object) -> list[Rule]:
    planes = [any_plane(D, region, each) for region in regions for each in types]
    return rules_for(Wanted(D, regions, planes, **more))  # type: ignore[arg-type]


def hosts(rules: list[Rule]) -> set[str]:
    return {rule.host for rule in rules if rule.direction == "out"}


def test_a_gateway_needs_these_and_no_more() -> None:
    assert hosts(wanted(ControlPlaneType.GATEWAY)) == {
        f"cloud.{D}",
        f"global.api.{D}",
        f"us.api.{D}",
        f"*.us.cp0.{D}",
        f"*.us.tp0.{D}",
    }


def test_an_ingress_controller_needs_no_configuration_host() -> None:
    rules = wanted(ControlPlaneType.KIC)
    assert hosts(rules) == {f"cloud.{D}", f"us.api.{D}", f"us.kic.api.{D}", f"*.us.tp0.{D}"}
    assert not [rule for rule in rules if rule.at == "nodes" and rule.port == 8071]


@pytest.mark.parametrize(
    ("tool", "names"),
    [
        ("deck", {f"global.api.{D}", f"eu.api.{D}"}),
        ("kongctl", {f"global.api.{D}", f"eu.api.{D}"}),
        ("terraform", {f"global.api.{D}", f"eu.api.{D}"}),
        ("kic", {f"eu.kic.api.{D}"}),
        ("browser", {f"cloud.{D}", f"global.api.{D}", f"eu.api.{D}"}),
        ("portal", {f"*.eu.portal.{D}"}),
        ("mesh", {f"eu.mesh.sync.{D}"}),
        ("feed", {f"ip-addresses.origin.{D}"}),
    ],
)
def test_tools_narrow_what_people_need(tool: str, names: set[str]) -> None:
    rules = wanted(ControlPlaneType.GATEWAY, regions=("eu",), tools=[tool])
    assert hosts([rule for rule in rules if rule.at == "tools"]) == names
    assert {f"*.eu.cp0.{D}", f"*.eu.tp0.{D}"} <= hosts(rules)


def test_every_served_host_and_port_of_the_tables_is_in_it() -> None:
    rules = wanted(*BOTH, tools=TOOLS)
    for kind in HOSTS:
        if kind.served:
            assert kind.host(domain=D, region="us", prefix="*") in hosts(rules), kind.name
    listened = {port.number for port in PORTS if port.served and "this machine" not in port.direction}
    assert {rule.port for rule in rules} == listened
    kinds = {rule.host: rule.client_certificate for rule in rules if rule.port == 443 and rule.direction == "out"}
    for kind in HOSTS:
        name = kind.host(domain=D, region="us", prefix="*")
        assert kinds.get(name, kind.client_certificate) == kind.client_certificate, name


def test_ports_are_what_the_platform_is_reached_at() -> None:
    rules = wanted(ControlPlaneType.GATEWAY, port=9443, audit_port=None)
    assert {rule.port for rule in rules if rule.direction == "out"} == {9443}
    assert not [rule for rule in rules if rule.transport == "UDP"]
    rules = wanted(ControlPlaneType.GATEWAY, audit_port=9071)
    assert {rule.transport for rule in rules if rule.port == 9071 and rule.at == "nodes"} == {"TCP", "UDP"}


def test_a_rule_stands_once() -> None:
    rules = wanted(*BOTH, regions=("us", "eu"))
    assert len(rules) == len(set(rules))
