"""Cases of plugins, through a real gateway: the vectors of a plugin's folder and the example of its page.

A `vectors.toml` holds declarative files under names (`[config]`) and cases: steps of raw requests with what must come
back and what must reach the upstream. The form is one that can be played against any other gateway too.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conformance.proxy.raw_client import Answer, exchange
from tests.conformance.proxy.recording import Binding
from tests.conformance.proxy.scripted_upstream import Arrival, Upstreams

pytest.importorskip("twinplane._dataplane", reason="the core is not built")

from tests.conformance.proxy.running_node import RunningNode, running  # needs the core

from twinplane.node.log_sinks import Surroundings
from twinplane.node.logs import LogDelivery

_FENCED = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Gateway:
    """A node with one upstream behind it."""

    node: RunningNode
    upstreams: Upstreams

    def send(self, request: str, *, source: str | None = None, reply: str | None = None) -> Answer:
        """Send raw bytes; the upstream answers with `reply`, or with a small JSON body."""
        self.upstreams.play([{"ops": [{"send": reply}]}] if reply else [])
        step = {"text": request} if source is None else {"text": request, "source": source}
        return exchange(step, self.node.port, context=None)

    def received(self) -> Arrival | None:
        """What reached the upstream by the last request."""
        arrivals = self.upstreams.arrivals()
        return arrivals[-1] if arrivals else None


@contextlib.contextmanager
def gateway(config: str | Mapping[str, Any], **node: str) -> Iterator[Gateway]:
    """A gateway for a declarative file; `<echo-port>` in it stands for the upstream's port."""
    upstreams = Upstreams(["echo-port"])
    document = yaml.safe_load(config) if isinstance(config, str) else config
    filled = Binding(upstreams.ports, "").fill(document)
    try:
        with running(node, filled) as started:
            yield Gateway(started, upstreams)
    finally:
        upstreams.close()


@dataclass(frozen=True)
class VectorCase:
    """One case of a `vectors.toml`."""

    name: str
    config: str
    node: Mapping[str, str]
    steps: tuple[Mapping[str, Any], ...]


def vector_cases(test_file: str) -> list[Any]:
    """The cases beside a plugin's test file, as parameters of a test."""
    document = tomllib.loads(Path(test_file).with_name("vectors.toml").read_text(encoding="utf-8"))
    cases = [
        VectorCase(case["name"], document["config"][case["config"]], case.get("node", {}), tuple(case["steps"]))
        for case in document["case"]
    ]
    return [pytest.param(case, id=case.name.replace(" ", "-")) for case in cases]


def play(case: VectorCase) -> None:
    """Play a case; fails at the first thing that is not as written."""
    with gateway(case.config, **case.node) as running_gateway:
        for number, step in enumerate(case.steps, 1):
            where = f"{case.name}, step {number}"
            answer = running_gateway.send(step["request"], source=step.get("source"), reply=step.get("reply"))
            assert answer.status == step["status"], f"{where}: {answer}"
            _check_headers(f"{where}: response", step.get("headers", {}), answer.headers)
            _check_body(f"{where}: response", step, "body", answer.body)
            if "upstream" in step:
                _check_upstream(f"{where}: upstream", step["upstream"], running_gateway.received())


def _check_upstream(where: str, wanted: Any, arrival: Arrival | None) -> None:
    if wanted is False:
        assert arrival is None, f"{where}: {arrival} arrived"
        return
    assert arrival is not None, f"{where}: nothing arrived"
    if "request_line" in wanted:
        assert arrival.request_line == wanted["request_line"], where
    _check_headers(where, wanted.get("headers", {}), arrival.headers)
    _check_body(where, wanted, "body", arrival.body)


def _check_headers(where: str, wanted: Mapping[str, Any], actual: list[tuple[str, str]]) -> None:
    for name, value in wanted.items():
        values = [found for key, found in actual if key.lower() == name.lower()]
        if value is False:
            assert not values, f"{where}: {name} is there: {values}"
        elif isinstance(value, list):
            assert values == value, f"{where}: {name}: {values}"
        else:
            is_so = len(values) == 1 and (values[0] == value or re.fullmatch(value, values[0]))
            assert is_so, f"{where}: {name}: {values} is not {value}"


def _check_body(where: str, wanted: Mapping[str, Any], name: str, actual: bytes) -> None:
    if name in wanted:
        assert actual.decode() == wanted[name], where
    if f"{name}_has" in wanted:
        assert wanted[f"{name}_has"] in actual.decode(), where


@contextlib.contextmanager
def delivering(node: RunningNode, surroundings: Surroundings | None = None) -> Iterator[LogDelivery]:
    """The log plugins of a gateway deliver to their sinks for as long as the block runs."""
    delivery = LogDelivery(node.core.drain, surroundings or Surroundings())  # type: ignore[arg-type]
    delivery.configure(node.table)
    is_over = threading.Event()

    def move() -> None:
        while not is_over.wait(0.01):
            delivery.flush()

    mover = threading.Thread(target=move)
    mover.start()
    try:
        yield delivery
    finally:
        is_over.set()
        mover.join()
        delivery.close(5)


def eventually(test: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait until a test holds; fails when time is over."""
    end = time.monotonic() + within_s
    while not test():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def check_example(test_file: str) -> None:
    """The example of a plugin's page is a whole file that a node runs without leaving anything out."""
    page = Path(test_file).with_name("README.md").read_text(encoding="utf-8")
    found = _FENCED.search(page)
    assert found is not None, "the page has no example"
    with gateway(found[1]) as running_gateway:
        assert running_gateway.node.applied.issues == []
        assert running_gateway.node.applied.routes > 0
