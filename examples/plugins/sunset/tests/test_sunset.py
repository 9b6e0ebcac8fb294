"""sunset through a real gateway, and the example of its page."""

import re
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sunset import Sunset

from twinplane.testing import Gateway, GatewayRefused, gateway

ROUTES = [{"paths": ["/v1"]}]
PAGE = Path(__file__).resolve().parents[1] / "README.md"


def day(days: int) -> str:
    """A day from today on."""
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


def serving(date: str, **config: object) -> AbstractContextManager[Gateway]:
    return gateway(ROUTES, plugins=[Sunset], configs={"sunset": {"date": date, **config}})


def test_before_the_time_nobody_is_told() -> None:
    with serving(day(400)) as gw:
        answer = gw.get("/v1")
        assert (answer.status, answer.header("Sunset")) == (200, None)


def test_callers_are_told_while_it_still_runs() -> None:
    date = day(30)
    with serving(date, link="https://docs.example/v2") as gw:
        answer = gw.get("/v1")
        assert answer.status == 200
        assert answer.header("Sunset") == datetime.fromisoformat(date).strftime("%a, %d %b %Y 00:00:00 GMT")
        assert answer.header("Link") == '<https://docs.example/v2>; rel="sunset"'


def test_from_that_day_on_it_is_gone() -> None:
    date = day(0)
    with serving(date) as gw:
        answer = gw.get("/v1")
        assert (answer.status, answer.json()) == (410, {"message": f"This API went out of service on {date}"})
        assert not gw.upstream.arrivals


def test_who_still_calls_is_counted() -> None:
    with serving(day(30)) as gw:
        for _ in range(3):
            gw.get("/v1")
        counted = plugin_of(gw).callers
        until = time.monotonic() + 30
        while counted["127.0.0.1"] < 3 and time.monotonic() < until:
            time.sleep(0.05)
        assert counted["127.0.0.1"] == 3


def test_a_day_that_is_none_is_refused() -> None:
    with pytest.raises(GatewayRefused, match="month must be in"), serving("2031-99-01"):
        pass


def test_the_example_of_the_page_runs() -> None:
    document = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert document is not None
    with gateway(document[1].replace("127.0.0.1:9100", "<upstream>"), plugins=[Sunset]) as gw:
        assert gw.get("/v1/books").status == 200


def plugin_of(gw: Gateway) -> Sunset:
    found = gw.plugin("sunset")
    assert isinstance(found, Sunset)
    return found
