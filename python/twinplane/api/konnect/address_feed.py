"""`ip-addresses.json` and `/rss`: the addresses of an installation and how they changed, for everybody, no token asked.

Answered on the host of its own and on those of console and APIs; every other request goes on to what is behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final
from xml.etree import ElementTree

from twinplane.api.core.face import Receive, Send, read_request, send_answer
from twinplane.api.core.message import JSON_TYPE, Answer, Request, encode_json
from twinplane.api.konnect.errors import Problem, problem_answer
from twinplane.api.konnect.hosts import read_host
from twinplane.control.addresses import INGRESS, AddressChange, PublishedAddresses
from twinplane.settings.host_names import HostNames
from twinplane.settings.network import ADDRESSES, API, CLOUD, GLOBAL_API

Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

DOCUMENT: Final = ("/ip-addresses.json", "/.well-known/ip-addresses.json")
FEED: Final = "/rss"
_RSS_TYPE: Final = (b"content-type", b"application/rss+xml; charset=utf-8")
_FRESH: Final = (b"cache-control", b"public, max-age=300")
_HOSTS: Final = (None, ADDRESSES, CLOUD, GLOBAL_API, API)
_ATOM: Final = "http://www.w3.org/2005/Atom"
_TTL_MINUTES: Final = 60
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class AddressFeed:
    """The ASGI application. `url` tells where the host of its own is reached."""

    def __init__(
        self, rest: Application, published: Callable[[], PublishedAddresses], names: HostNames, url: Callable[[], str]
    ) -> None:
        self._rest = rest
        self._published = published
        self._names = names
        self._url = url

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or hand it on."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        head = read_request(scope)
        is_asked = head.path in DOCUMENT or head.path == FEED
        found = read_host(self._names, head)
        kind = None if found is None else found.kind
        # The host of its own serves nothing else but health, which every host tells.
        is_mine = is_asked and kind in _HOSTS if kind is not ADDRESSES else head.path != "/health"
        if found is None or not is_mine:
            await self._rest(scope, receive, send)
            return
        await send_answer(send, self._answer(head, is_asked=is_asked), head_only=head.method == "HEAD")

    def _answer(self, head: Request, *, is_asked: bool) -> Answer:
        if not is_asked:
            return problem_answer(Problem(404, "This host serves /ip-addresses.json and /rss, and nothing else"))
        if head.method not in ("GET", "HEAD"):
            return problem_answer(Problem(405, "Method not allowed"))
        published = self._published()
        if head.path == FEED:
            return _fresh(head, rss(published, self._url()), _RSS_TYPE, published.changed_at)
        return _fresh(head, encode_json(document(published)), JSON_TYPE, published.changed_at)


def document(published: PublishedAddresses) -> dict[str, Any]:
    """The list as clients know it: addresses in, by region, and addresses out."""
    changed = datetime.fromtimestamp(published.changed_at, UTC) if published.changed_at is not None else _EPOCH
    return {
        "createdAt": changed.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "revision": published.changes[0].number if published.changes else 0,
        "ingressIPs": {region: list(values) for region, values in published.ingress.items()},
        "egressIPs": {region: list(values) for region, values in published.egress.items()},
    }


def rss(published: PublishedAddresses, url: str) -> bytes:
    """The history as RSS 2.0, newest first."""
    ElementTree.register_namespace("atom", _ATOM)
    root = ElementTree.Element("rss", {"version": "2.0"})
    channel = ElementTree.SubElement(root, "channel")
    _add(channel, "title", "IP addresses")
    _add(channel, "link", f"{url}{DOCUMENT[0]}")
    _add(channel, "description", "Changes of the addresses behind the host names of this platform.")
    _add(channel, "language", "en")
    if published.changed_at is not None:
        _add(channel, "lastBuildDate", _date(published.changed_at))
    _add(channel, "ttl", str(_TTL_MINUTES))
    link = {"href": f"{url}{FEED}", "rel": "self", "type": "application/rss+xml"}
    ElementTree.SubElement(channel, f"{{{_ATOM}}}link", link)
    for change in published.changes:
        item = ElementTree.SubElement(channel, "item")
        _add(item, "title", _title(change))
        _add(item, "link", f"{url}{DOCUMENT[0]}")
        _add(item, "description", _description(change))
        _add(item, "category", change.region)
        _add(item, "pubDate", _date(change.at))
        guid = ElementTree.SubElement(item, "guid", {"isPermaLink": "false"})
        guid.text = f"{url}/changes/{change.number}"
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data


def _title(change: AddressChange) -> str:
    way = "in" if change.direction == INGRESS else "out"
    parts = [f"{len(change.added)} added"] if change.added else []
    parts += [f"{len(change.removed)} removed"] if change.removed else []
    return f"{change.region}: addresses {way}: {', '.join(parts)}"


def _description(change: AddressChange) -> str:
    parts = [f"Added: {', '.join(change.added)}."] if change.added else []
    parts += [f"Removed: {', '.join(change.removed)}."] if change.removed else []
    return " ".join(parts)


def _add(parent: ElementTree.Element, name: str, text: str) -> None:
    ElementTree.SubElement(parent, name).text = text


def _date(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(at), UTC), usegmt=True)


def _fresh(head: Request, body: bytes, kind: tuple[bytes, bytes], changed_at: float | None) -> Answer:
    """An answer that need not be sent again to whom has it already."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    fields = [(b"etag", tag.encode()), _FRESH, (b"x-content-type-options", b"nosniff")]
    if changed_at is not None:
        fields.append((b"last-modified", _date(changed_at).encode()))
    if _is_known(head, tag, changed_at):
        return Answer(304, b"", tuple(fields))
    return Answer(200, body, (kind, *fields))


def _is_known(head: Request, tag: str, changed_at: float | None) -> bool:
    tags = head.header(b"if-none-match")
    if tags is not None:
        return tags.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in tags.split(",")]
    since = head.header(b"if-modified-since")
    if since is None or changed_at is None:
        return False
    try:
        return int(changed_at) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, TypeError, OverflowError):
        return False
