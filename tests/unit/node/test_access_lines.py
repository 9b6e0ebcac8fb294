"""Lines of requests to the node's own ports: what they look like, and how many wait."""

from __future__ import annotations

from twinplane.node.access_lines import AccessLines, access_line
from twinplane.node.http_request import Head


def test_a_line_has_the_form_of_the_proxys() -> None:
    head = Head("GET", "/a\x7f\xe9", "HTTP/1.1", {"user-agent": 'x"\\'})
    line = access_line("192.0.2.7", head, 201, 12, now_s=0.9, request_id="ab")
    told = r'192.0.2.7 - - [01/Jan/1970:00:00:00 +0000] "GET /a\x7F\xE9 HTTP/1.1" 201 12 "-" "x\x22\x5C" '
    assert line.decode() == f'{told}kong_request_id: "ab"\n'
    nothing = access_line("", None, 400, 3, now_s=0.9, request_id="ab")
    assert nothing.startswith(b'- - - [01/Jan/1970:00:00:00 +0000] "-" 400 3 "-" "-" ')


def test_the_oldest_lines_give_way_and_are_counted() -> None:
    lines = AccessLines(3)
    for number in range(5):
        lines.add("::1", Head("GET", f"/{number}", "HTTP/1.1", {}), 200, 0)
    taken = lines.take().decode().splitlines()
    assert [line.split('"')[1] for line in taken] == [f"GET /{number} HTTP/1.1" for number in (2, 3, 4)]
    assert (lines.lost, lines.take()) == (2, b"")
