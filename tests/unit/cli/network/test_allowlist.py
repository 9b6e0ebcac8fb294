"""`twinplane network allowlist` in each of its forms, and what it refuses."""

from __future__ import annotations

import json

import pytest
import yaml

from twinplane.cli import main
from twinplane.cli.network.network_policy import network_policy
from twinplane.settings.allowlist import Plane, Wanted, any_plane, rules_for
from twinplane.settings.network import ControlPlaneType

EXACT = Plane("us", ControlPlaneType.GATEWAY, "a.us.cp0.twin.test", "a.us.tp0.twin.test")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["network", "allowlist", "--domain", "twin.test", *words]) == 0
    return capsys.readouterr().out


def test_text_has_a_line_for_each_rule_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--region", "us,eu", "--type", "gateway,kic", "--tools", "deck,browser")
    rules = json.loads(printed(capsys, *words, "-o", "json"))["rules"]
    lines = printed(capsys, *words).splitlines()
    assert len(lines) == len(rules) + 1
    for rule, line in zip(rules, lines[1:], strict=True):
        for part in (rule["host"], f"{rule['port']}/{rule['transport']}", rule["why"], rule["direction"]):
            assert part in line


def test_a_policy_lets_nodes_out_to_what_they_need(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--cidr", "203.0.113.0/24,2001:db8::/32", "-o", "kubernetes")
    spec = yaml.safe_load(text)["spec"]
    dns, platform = spec["egress"]
    assert {each["port"] for each in dns["ports"]} == {53}
    assert [each["ipBlock"]["cidr"] for each in platform["to"]] == ["203.0.113.0/24", "2001:db8::/32"]
    assert [(each["port"], each["protocol"]) for each in platform["ports"]] == [
        (443, "TCP"),
        (8071, "TCP"),
        (8071, "UDP"),
    ]
    assert {each["port"] for each in spec["ingress"][0]["ports"]} == {8000, 8443}
    assert "# out: *.us.cp0.twin.test 443/TCP" in text


def test_a_policy_takes_addresses_from_the_name_server_where_all_are_known() -> None:
    rules = rules_for(Wanted("twin.test", ("us",), [EXACT]))
    known = {"a.us.cp0.twin.test": ["203.0.113.5"], "a.us.tp0.twin.test": ["203.0.113.5", "2001:db8::5"]}
    blocks = yaml.safe_load(network_policy(rules, (), lambda host: known[host]))["spec"]["egress"][1]["to"]
    assert [each["ipBlock"]["cidr"] for each in blocks] == ["203.0.113.5/32", "2001:db8::5/128"]
    for case, resolve in (
        (rules, lambda host: known[host] if "cp0" in host else []),
        (rules_for(Wanted("twin.test", ("us",), [any_plane("twin.test", "us", ControlPlaneType.GATEWAY)])), known.get),
    ):
        text = network_policy(case, (), resolve)  # type: ignore[arg-type]
        blocks = yaml.safe_load(text)["spec"]["egress"][1]["to"]
        assert [each["ipBlock"]["cidr"] for each in blocks] == ["0.0.0.0/0", "::/0"]
        assert "Give --cidr" in text


def test_every_mistake_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--tools",
        "x",
        "--type",
        "y",
        "--region",
        "U",
        "--cidr",
        "1.2.3.4/33",
        "--port",
        "z",
        "--audit-port",
        "-1",
    ]
    assert main(["network", "allowlist", *words, "--control-plane", "a"]) == 2
    told = capsys.readouterr().err
    for name in ("tools", "type", "region", "cidr", "port", "audit-port"):
        assert f"command line: {name}:" in told


def test_a_token_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["network", "allowlist", "--control-plane", "a", "--token-file", "/nowhere/token"]) == 1
    assert "/nowhere/token" in capsys.readouterr().err
