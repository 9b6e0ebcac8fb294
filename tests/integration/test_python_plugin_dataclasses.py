"""Configurations of plugins in Python that are dataclasses: served, checked and handed over like any other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from twinplane.pdk import Answer, Context, Plugin, Request
from twinplane.registry import PluginsUnusable, disable_plugins, enable_plugins, plugin_type
from twinplane.schema import Between, Referenceable
from twinplane.testing import Gateway, GatewayRefused, gateway

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "python-plugins.md"


@dataclass(frozen=True)
class Limits:
    """How much."""

    bytes: Annotated[int, Between(1, 1000), "How many bytes."] = 10


@dataclass(frozen=True)
class Place:
    """Somewhere."""

    name: str
    limits: Limits | None = None


@dataclass(frozen=True)
class SizedConfig:
    """The configuration of sized."""

    header: Annotated[str, "Header that tells."]
    mode: Literal["loud", "quiet"] = "quiet"
    secret: Annotated[str | None, Referenceable(), "A secret."] = None
    limits: Limits = field(default_factory=Limits)
    words: list[str] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    by_name: dict[str, Limits] = field(default_factory=dict)


class Sized(Plugin[SizedConfig]):
    """Tells its configuration."""

    name = "sized"
    config_class = SizedConfig

    def access(self, request: Request, ctx: Context, config: SizedConfig) -> Answer:
        assert isinstance(config, SizedConfig)
        assert all(isinstance(place, Place) for place in config.places)
        limit = config.limits.bytes + sum(each.bytes for each in config.by_name.values())
        told = [config.mode, config.secret, limit, config.words, [place.name for place in config.places]]
        inner = [place.limits.bytes for place in config.places if place.limits is not None]
        return ctx.exit(200, [*told, inner], {config.header: "told"})


CONFIG: dict[str, Any] = {
    "header": "X-Sized",
    "secret": "{vault://env/sized}",
    "words": ["a", "b"],
    "places": [{"name": "here", "limits": {"bytes": 3}}, {"name": "there"}],
    "by_name": {"x": {"bytes": 5}, "y": {}},
}


@pytest.fixture(scope="module")
def gw() -> Iterator[Gateway]:
    with gateway(
        [{"paths": ["/"]}], plugins=[Sized], configs={"sized": CONFIG}, environ={"SIZED": "s3cret"}
    ) as running:
        yield running


def test_the_plugin_gets_instances_of_its_own_classes(gw: Gateway) -> None:
    answer = gw.get("/")
    assert answer.header("X-Sized") == "told"
    assert answer.json() == ["quiet", "s3cret", 25, ["a", "b"], ["here", "there"], [3]]


def test_the_schema_is_that_of_any_plugin() -> None:
    enable_plugins([Sized])
    try:
        served = plugin_type("sized").kong_schema()
    finally:
        disable_plugins([Sized])
    (config,) = [each["config"] for each in served["fields"] if "config" in each]
    fields = {name: facts for each in config["fields"] for name, facts in each.items()}
    assert fields["header"]["required"] is True
    assert (fields["mode"]["one_of"], fields["mode"]["default"]) == (["loud", "quiet"], "quiet")
    assert fields["secret"]["referenceable"] is True
    assert fields["limits"]["fields"][0]["bytes"]["between"] == [1, 1000]
    assert fields["places"]["elements"]["type"] == "record"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"header": None}, "required field missing"),
        ({"limits": {"bytes": 1001}}, "between 1 and 1000"),
        ({"mode": "odd"}, "expected one of"),
        ({"places": [{}]}, "required field missing"),
        ({"unknown": 1}, "unknown field"),
    ],
)
def test_what_it_does_not_allow_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(GatewayRefused, match=said):
        gateway([{"paths": ["/"]}], plugins=[Sized], configs={"sized": {**CONFIG, **changed}}).__enter__()


def test_a_class_that_declares_nothing_is_told_of() -> None:
    @dataclass
    class Odd:
        when: complex = 1j

    class Odder(Sized):
        name = "odder"
        config_class = Odd

    class Oddest(Sized):
        name = "oddest"
        config_class = dict

    with pytest.raises(PluginsUnusable) as refused:
        enable_plugins([Odder, Oddest])
    assert len(refused.value.problems) == 2
    assert "odder" in refused.value.problems[0]
    assert "must derive from twinplane.pdk.Config or be a dataclass" in refused.value.problems[1]


def test_the_one_of_the_guide_is_read() -> None:
    shown = next(
        code
        for code in re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
        if "SizedConfig" in code
    )
    names: dict[str, Any] = {"Annotated": Annotated, "Between": Between, "dataclass": dataclass, "field": field}
    exec(compile(shown, "sized.py", "exec", dont_inherit=True), names)

    class Shown(Plugin[Any]):
        name = "shown"
        config_class = names["SizedConfig"]

        def access(self, request: Request, ctx: Context, config: Any) -> Answer:
            return ctx.exit(200, [config.header, config.limits.bytes, config.words])

    with gateway([{"paths": ["/"]}], plugins=[Shown], configs={"shown": {"header": "X-A"}}) as running:
        assert running.get("/").json() == ["X-A", 10, []]
