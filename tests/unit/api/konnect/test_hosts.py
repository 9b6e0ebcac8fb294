"""Hosts that are not served say so: as a page for people, as a problem for programs."""

from __future__ import annotations

import json

import pytest

from twinplane.api.core.message import Query, Request
from twinplane.api.konnect.hosts import host_answer, host_problem, read_host
from twinplane.settings.host_names import HostNames

NAMES = HostNames(("twin.test",))
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def request(host: str, *, sni: str = "", accept: str = "*/*") -> Request:
    fields = [(b"host", host.encode()), (b"accept", accept.encode())]
    return Request("GET", "/", Query(b""), (*fields, (b"twinplane-sni", sni.encode())))


def detail(head: Request) -> str:
    problem = host_problem(read_host(NAMES, head), head)
    return "" if problem is None else problem.detail


@pytest.mark.parametrize(
    "host", ["us.api.twin.test:9443", "EU.api.twin.test.", "global.api.twin.test", "localhost", ""]
)
def test_hosts_of_the_api_are_served(host: str) -> None:
    assert detail(request(host)) == ""


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("p1.us.portal.twin.test", "[developer portal] is not enabled"),
        ("eu.mesh.sync.twin.test", "[service mesh] is not enabled"),
        ("us.identity.twin.test", "[identity server] is not enabled"),
        ("p1.us.cp.twin.test", "links of data plane nodes"),
        ("nobody.twin.test", "No service of this platform has the host name [nobody.twin.test]"),
        ("us.api.elsewhere.test", "No service of this platform"),
    ],
)
def test_other_hosts_are_told_why_not(host: str, said: str) -> None:
    assert said in detail(request(host))


def test_the_server_name_counts_where_the_host_is_bare() -> None:
    found = read_host(NAMES, request("localhost:9443", sni="eu.api.twin.test"))
    assert found is not None
    assert found.region == "eu"
    assert "not enabled" in detail(request("127.0.0.1", sni="p1.us.portal.twin.test"))


def test_a_server_name_of_nobody_leaves_a_bare_host_bare() -> None:
    assert detail(request("localhost", sni="elsewhere.test")) == ""


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (PAGE, True),
        ("*/*", False),
        ("application/json", False),
        ("application/problem+json, text/html", False),
        ("application/json;q=0.2, text/html;q=0.9", True),
        ("text/html;q=0", False),
        ("text/html;q=x", False),
    ],
)
def test_people_get_a_page_and_programs_a_problem(accept: str, is_page: bool) -> None:
    head = request("<b>.us.portal.twin.test", accept=accept)
    problem = host_problem(read_host(NAMES, head), head)
    assert problem is not None
    answer = host_answer(problem, head)
    assert answer.status == 404
    fields = dict(answer.headers)
    if is_page:
        assert fields[b"content-type"].startswith(b"text/html")
        assert b"&lt;b&gt;" in answer.body
        assert b"<b>" not in answer.body
    else:
        assert json.loads(answer.body)["detail"] == problem.detail
