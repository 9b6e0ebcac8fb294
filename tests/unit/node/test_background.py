"""What plugins do beside requests, while some of it hangs."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait

import pytest

from twinplane.node.background import Background
from twinplane.node.plugin_host import PluginHost
from twinplane.node.plugin_lending import HostLimits
from twinplane.pdk import Config, Plugin, every

_PATIENCE_S = 60


@pytest.fixture
def released() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_what_hangs_holds_up_its_own_plugin_alone(released: threading.Event) -> None:
    background = Background()
    hanging = background.run("one", "task", lambda: released.wait(_PATIENCE_S))
    behind = background.run("one", "configure", lambda: 1)
    assert background.run("other", "configure", lambda: 2).result(_PATIENCE_S) == 2
    assert (hanging.done(), behind.done()) == (False, False)
    released.set()
    assert behind.result(_PATIENCE_S) == 1
    background.close()


def test_of_one_thing_the_newest_alone_waits(released: threading.Event) -> None:
    background = Background()
    begun = threading.Event()

    def hang() -> None:
        begun.set()
        released.wait(_PATIENCE_S)

    background.run("one", "task", hang)
    assert begun.wait(_PATIENCE_S)
    told: list[int] = []
    asked = [background.run("one", "configure", lambda number=number: told.append(number)) for number in range(1000)]
    assert [each.cancelled() for each in asked] == [True] * 999 + [False]
    released.set()
    wait(asked[-1:], _PATIENCE_S)
    assert told == [999]
    background.close()


def test_what_was_taken_back_ends_no_thread(released: threading.Event) -> None:
    background = Background()
    background.run("one", "task", lambda: released.wait(_PATIENCE_S))
    assert background.run("one", "other task", lambda: None).cancel()
    released.set()
    assert background.run("one", "configure", lambda: 3).result(_PATIENCE_S) == 3
    background.close()


def test_a_plugin_that_hangs_delays_one_configuration(
    released: threading.Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, list[int]] = {"hanging": [], "fine": []}
    hangs = threading.Event()

    class Hanging(Plugin[Config]):
        """Hangs in a task."""

        name = "hanging"

        @every(3600)
        def hang(self) -> None:
            hangs.set()
            released.wait(_PATIENCE_S)

        def configure(self, configs: Sequence[Config]) -> None:
            told["hanging"].append(len(configs))
            last.set()

    class Fine(Plugin[Config]):
        """Does nothing beside."""

        name = "fine"

        def configure(self, configs: Sequence[Config]) -> None:
            told["fine"].append(len(configs))
            heard.set()

    host = PluginHost(HostLimits(timeout_ms=100), [Hanging, Fine])
    last, heard = threading.Event(), threading.Event()

    awaited: list[list[Future[object]]] = []

    def waiting(futures: list[Future[object]], timeout_s: float) -> object:
        awaited.append(list(futures))
        return wait(futures, timeout_s)

    monkeypatch.setattr(concurrent.futures, "wait", waiting)

    def apply(count: int) -> None:
        host.begin()
        for _ in range(count):
            host.build("hanging", b"{}")
            host.build("fine", b"{}")
        heard.clear()
        host.served()
        assert heard.wait(_PATIENCE_S)

    apply(1)
    assert hangs.wait(_PATIENCE_S)
    assert last.wait(_PATIENCE_S)
    last.clear()
    for count in (2, 3, 4):
        apply(count)
    assert told == {"hanging": [1], "fine": [1, 2, 3, 4]}
    assert "python_plugin_configure_late plugin=hanging" in caplog.text
    # Once that was seen, configurations wait for what comes to an end while the task still hangs.
    assert not wait([each for futures in awaited[2:] for each in futures], _PATIENCE_S).not_done
    released.set()
    assert last.wait(_PATIENCE_S)
    assert told["hanging"] == [1, 4]
    host.close(1.0)
