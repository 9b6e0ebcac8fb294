"""Who may speak to an Admin API without token."""

from __future__ import annotations

import pytest

from twinplane.api.admin.origins import Origins, is_loopback_name
from twinplane.api.core.message import Query, Request

PAGE = "http://localhost:8002"


def request(host: str = "localhost:8001", **headers: str) -> Request:
    fields = [(b"host", host.encode())]
    fields += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request("GET", "/", Query(b""), tuple(fields))


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8001", "127.0.0.1", "127.9.9.9:1", "[::1]:8001", "[::1]", "twinplane.localhost:1"]
)
def test_loopback_names_are_let_in(host: str) -> None:
    assert is_loopback_name(host)
    assert Origins(()).refuse(request(host)) is None


@pytest.mark.parametrize(
    "host", ["", "evil.test", "evil.test:8001", "localhost.evil.test", "192.168.0.1", "0.0.0.0", "::1x"]
)
def test_other_names_are_refused(host: str) -> None:
    refusal = Origins(("*",)).refuse(request(host))
    assert refusal is not None
    assert refusal.status == 403


def test_page_of_an_unlisted_origin_is_refused_and_gets_no_header() -> None:
    origins = Origins(())
    refusal = origins.refuse(request(origin="http://evil.test"))
    assert refusal is not None
    assert refusal.status == 403
    assert origins.headers(request()) == ()
    assert origins.preflight(request(), "GET") == ()


def test_listed_origin_is_named_in_the_answer() -> None:
    origins = Origins((PAGE + "/",))
    asked = request(origin=PAGE)
    assert origins.refuse(asked) is None
    headers = dict(origins.headers(asked))
    assert headers[b"access-control-allow-origin"] == PAGE.encode()
    assert headers[b"vary"] == b"Origin"
    assert dict(origins.preflight(asked, "GET, POST"))[b"access-control-allow-methods"] == b"GET, POST"
    assert origins.refuse(request(origin="http://localhost:9999")) is not None
    assert dict(origins.headers(request())) == {b"vary": b"Origin"}


def test_star_lets_every_page_in() -> None:
    origins = Origins(("*",))
    assert dict(origins.headers(request()))[b"access-control-allow-origin"] == b"*"
    assert dict(origins.headers(request(origin="http://o.test")))[b"access-control-allow-origin"] == b"http://o.test"
