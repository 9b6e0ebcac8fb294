"""What the host of a request asks for, and what is said to one that is not served: a page for people, a problem else.

The `Host` field decides; where it is a bare address, the server name of the handshake does.
"""

from __future__ import annotations

import html
from typing import Final

from twinplane.api.core.message import HTML_TYPE, Answer, Request
from twinplane.api.konnect.errors import Problem, problem_answer
from twinplane.settings.host_names import BARE, FoundHost, HostNames
from twinplane.settings.network import API, CONFIGURATION, GLOBAL_API, TELEMETRY

SNI_FIELD: Final = b"twinplane-sni"

_STYLE: Final = "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}"
_PAGE_FIELDS: Final = (
    HTML_TYPE,
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def read_host(names: HostNames, head: Request) -> FoundHost | None:
    """What a request asks for by its host; None for a name of nobody here."""
    found = names.read(head.header(b"host") or "")
    if found is not None and found.kind is None:
        return names.read(head.header(SNI_FIELD) or "") or BARE
    return found


def host_problem(found: FoundHost | None, head: Request) -> Problem | None:
    """Why a host is not served here; None where it is."""
    if found is None:
        name = (head.header(b"host") or "")[:255]
        return Problem(404, f"No service of this platform has the host name [{name}]")
    kind = found.kind
    if kind is None:
        return None
    if kind in (CONFIGURATION, TELEMETRY):
        return Problem(404, "This host serves the links of data plane nodes, and nothing else")
    if kind not in (API, GLOBAL_API):
        return Problem(404, f"The service [{kind.name}] is not enabled on this server")
    return None


def host_answer(problem: Problem, head: Request) -> Answer:
    """The answer in the form that the client asks for."""
    answer = problem_answer(problem)
    if not _wants_page(head.header(b"accept") or ""):
        return answer
    title = "Not served here"
    text = html.escape(problem.detail)
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><p>{text}.</p>"
        "<p>Whoever runs this platform can tell which of its services are turned on.</p></body></html>"
    )
    return Answer(answer.status, page.encode(), _PAGE_FIELDS)


def _wants_page(accept: str) -> bool:
    """Whether HTML is asked for before JSON, by weight and then by order."""
    best: dict[str, tuple[float, int]] = {}
    for place, item in enumerate(accept.split(",")[:20]):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = next((_weight(each[2:]) for each in parameters if each.startswith("q=")), 1.0)
        form = "html" if name in ("text/html", "application/xhtml+xml") else "json" if "json" in name else ""
        if form and weight > 0 and (form not in best or best[form] < (weight, -place)):
            best[form] = (weight, -place)
    return "html" in best and ("json" not in best or best["html"] > best["json"])


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
