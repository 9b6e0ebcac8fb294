"""`ip-addresses.json` and `/rss` as readers of feeds and firewalls take them."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.asgi import Received, send

from twinplane.api.konnect import AddressFeed
from twinplane.control.addresses import AddressChange, PublishedAddresses
from twinplane.settings.host_names import HostNames

HOST = "ip-addresses.origin.twin.test"
AT = 1_800_000_000.25
PUBLISHED = PublishedAddresses(
    {"us": ["203.0.113.1/32", "2001:db8::/48"], "eu": []},
    {"us": ["203.0.113.9/32"]},
    (
        AddressChange(2, AT, "us", "ingress", ("2001:db8::/48",), ("198.51.100.1/32",)),
        AddressChange(1, AT - 86_400, "us", "egress", ("203.0.113.9/32",), ()),
    ),
    AT,
)


async def rest(_scope: Any, _receive: Any, answer: Any) -> None:
    await answer({"type": "http.response.start", "status": 299, "headers": []})
    await answer({"type": "http.response.body", "body": b"rest"})


def feed(published: PublishedAddresses = PUBLISHED) -> AddressFeed:
    return AddressFeed(rest, lambda: published, HostNames(("twin.test",)), lambda: f"https://{HOST}:9443")


async def ask(path: str, host: str = HOST, method: str = "GET", **fields: str) -> Received:
    headers = [("Host", host), *((name.replace("_", "-"), value) for name, value in fields.items())]
    return await send(feed(), method, path, headers)


@pytest.mark.parametrize("host", [HOST, "us.api.twin.test", "global.api.twin.test", "cloud.twin.test", "localhost"])
@pytest.mark.parametrize("path", ["/ip-addresses.json", "/.well-known/ip-addresses.json"])
async def test_the_list_is_the_same_on_every_host(host: str, path: str) -> None:
    answer = await ask(path, host)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json() == {
        "createdAt": "2027-01-15T08:00:00Z",
        "revision": 2,
        "ingressIPs": {"us": ["203.0.113.1/32", "2001:db8::/48"], "eu": []},
        "egressIPs": {"us": ["203.0.113.9/32"]},
    }


async def test_the_feed_is_rss() -> None:
    answer = await ask("/rss")
    assert answer.headers["content-type"].startswith("application/rss+xml")
    root = ElementTree.fromstring(answer.body)
    assert (root.tag, root.attrib) == ("rss", {"version": "2.0"})
    (channel,) = root
    for name in ("title", "link", "description"):
        assert channel.findtext(name)
    own = channel.find("{http://www.w3.org/2005/Atom}link")
    assert own is not None
    assert own.attrib["href"] == f"https://{HOST}:9443/rss"
    items = channel.findall("item")
    guids = [item.findtext("guid") for item in items]
    assert len(set(guids)) == len(items) == 2
    assert {element.attrib["isPermaLink"] for element in channel.iter("guid")} == {"false"}
    dates = [parsedate_to_datetime(item.findtext("pubDate") or "") for item in items]
    assert dates == sorted(dates, reverse=True)
    assert items[0].findtext("title") == "us: addresses in: 1 added, 1 removed"
    assert items[0].findtext("description") == "Added: 2001:db8::/48. Removed: 198.51.100.1/32."


@pytest.mark.parametrize("path", ["/ip-addresses.json", "/rss"])
async def test_what_is_known_is_not_sent_again(path: str) -> None:
    first = await ask(path)
    tag, date = first.headers["etag"], first.headers["last-modified"]
    assert parsedate_to_datetime(date).timestamp() == int(AT)
    for fields in ({"If_None_Match": f'"x", W/{tag}'}, {"If_None_Match": "*"}, {"If_Modified_Since": date}):
        again = await ask(path, **fields)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    for fields in (
        {"If_None_Match": '"x"', "If_Modified_Since": date},
        {"If_Modified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If_Modified_Since": "x"},
    ):
        assert (await ask(path, **fields)).status == 200


async def test_an_installation_without_changes_has_a_valid_feed() -> None:
    empty = feed(PublishedAddresses({"us": []}, {}, (), None))
    answer = await send(empty, "GET", "/rss", [("Host", HOST)])
    assert ElementTree.fromstring(answer.body).findall("channel/item") == []
    assert "last-modified" not in answer.headers
    assert (await send(empty, "GET", "/ip-addresses.json", [("Host", HOST)])).json()["revision"] == 0


async def test_the_host_serves_nothing_else() -> None:
    assert (await ask("/v2/control-planes")).status == 404
    assert (await ask("/rss", method="POST")).status == 405
    head = await ask("/rss", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert (await ask("/health")).status == 299


@pytest.mark.parametrize("host", ["p.us.portal.twin.test", "us.kic.api.twin.test", "a.us.cp0.twin.test", "x.example"])
async def test_other_hosts_and_paths_go_on(host: str) -> None:
    assert (await ask("/rss", host)).status == 299
    assert (await ask("/v2/control-planes", "us.api.twin.test")).status == 299
