"""Every page of the console, and every state of one that is worth a look: its name, its address, what is done there.

An address names what was seeded: `{main}` is the path of a control plane, `{id:orders}` the id of an entity.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from tools.screenshots.configuration import SERVICES
from tools.screenshots.seed import AWAY_NODE, OLD_NODE, Seeded
from twinplane.registry import plugin_types
from twinplane.web.console.entities.kinds import KINDS
from twinplane.web.console.nodes.instructions import PLACES

_ID = re.compile(r"\{id:([^}]+)\}")
FORMS_OF_PLUGINS = ("key-auth", "rate-limiting", "request-transformer", "ai-proxy", "opentelemetry", "http-log")
FORMS_OF_TEXT = ("decK", "JSON", "curl", "Terraform")


@dataclass(frozen=True)
class View:
    """One page in one state. `status` is what the address answers with before anything is done."""

    name: str
    path: str
    act: Callable[[Page, Seeded], None] | None = None
    status: int = 200
    is_signed_in: bool = True
    is_alike: bool = False
    """Whether other pages of the list are made of the same parts."""

    def address(self, seeded: Seeded) -> str:
        """The whole address, over what was seeded."""
        path = self.path
        for name, plane in seeded.seed.planes.items():
            path = path.replace(f"{{{name}}}", f"/us/control-planes/{plane}")
        if "{request" in path:
            path = path.replace("{request}", _request(seeded, 200)).replace("{request-failed}", _request(seeded, 500))
        return seeded.address + _ID.sub(lambda found: seeded.seed.ids[found[1]], path)


def _request(seeded: Seeded, at_least: int) -> str:
    found = next(row for row in seeded.up.requests() if int(row["response_http_status"]) >= at_least)
    return str(found["request_id"])


def _refused(page: Page, _: Seeded) -> None:
    page.get_by_label("Access token").fill("kpat_unknown")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()


def _labels_wrong(page: Page, _: Seeded) -> None:
    page.get_by_label("Name").fill("default")
    page.get_by_label("Labels").fill("no label")
    page.get_by_role("button", name="Create").click()
    expect(page.locator(".problem").first).to_be_visible()


def _route_wrong(page: Page, _: Seeded) -> None:
    page.get_by_label("paths").fill("orders\n~/(")
    page.get_by_label("methods").fill("G E T")
    page.get_by_role("button", name="Create").click()
    expect(page.locator(".problem").first).to_be_visible()


def _certificate_wrong(page: Page, _: Seeded) -> None:
    page.get_by_label("Certificate (PEM)").fill("not a certificate")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".problem").first).to_be_visible()


def _make_certificate(page: Page, _: Seeded) -> None:
    page.get_by_label("Title of the certificate").fill("eu-1")
    page.get_by_role("button", name="Make a certificate").click()
    expect(page.get_by_role("heading", name="See it come")).to_be_visible()


def _open_place(place: str) -> Callable[[Page, Seeded], None]:
    def act(page: Page, seeded: Seeded) -> None:
        _make_certificate(page, seeded)
        details = page.locator("details.place").filter(has=page.locator("summary", has_text=re.compile(f"^{place}$")))
        if not details.evaluate("one => one.open"):
            details.locator("summary").click()
        expect(details.locator("pre").first).to_be_visible()

    return act


def _session_ended(page: Page, _: Seeded) -> None:
    page.get_by_label("name", exact=True).fill("kept while signed out")
    page.context.clear_cookies()
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_be_visible()


def _session_resumed(page: Page, seeded: Seeded) -> None:
    _session_ended(page, seeded)
    page.get_by_label("Access token").fill(seeded.up.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Go on where you were")


def _changed_by_both(page: Page, _: Seeded) -> None:
    other = page.context.new_page()
    other.goto(page.url)
    tags = other.locator("[name='v.tags']")
    before = tags.input_value().split()
    tags.fill("\n".join(before[:-1] if "reviewed" in before[-1:] else [*before, "reviewed"]))
    other.get_by_role("button", name="Save").last.click()
    expect(other.get_by_text("Saved.")).to_be_visible()
    other.close()
    page.locator("[name='v.tags']").fill("mine")
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_text("Somebody changed this while you were editing")).to_be_visible()


def _tick_two(page: Page, _: Seeded) -> None:
    for place in range(2):
        page.locator("tbody input[type=checkbox]").nth(place).check()
    page.get_by_role("button", name="Delete ticked").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^Delete 2 "))


def _renew(page: Page, _: Seeded) -> None:
    page.get_by_role("link", name="Renew", exact=True).first.click()
    expect(page.get_by_role("heading", name="Renew edge-eu-2")).to_be_visible()


def views() -> Iterator[View]:
    """All of them, in the order in which people come by."""
    yield View("sign-in", "/sign-in", is_signed_in=False)
    yield View("sign-in-refused", "/sign-in", _refused, is_signed_in=False)
    yield View("not-found-signed-out", "/us/nowhere", status=404, is_signed_in=False)
    yield View("control-planes", "/us/control-planes")
    yield View("control-planes-nothing-found", "/us/control-planes?q=unknown")
    yield View("control-plane-new", "/us/control-planes/new")
    yield View("control-plane-new-problems", "/us/control-planes/new", _labels_wrong)
    yield View("overview", "{main}")
    yield View("overview-empty", "{empty}")
    yield View("overview-kubernetes", "{kic}")
    yield View("settings", "{main}/settings")
    yield from _nodes()
    yield from _traffic()
    yield from _plugins()
    for collection in KINDS:
        yield from _entities(collection)
    yield View("route-new-problems", "{main}/entities/routes/new", _route_wrong)
    yield View("session-ended", "{main}/entities/services/new", _session_ended)
    yield View("session-resumed", "{main}/entities/services/new", _session_resumed)
    yield View("service-changed-by-both", "{main}/entities/services/{id:orders}/edit", _changed_by_both)
    yield View("services-delete-ticked", "{main}/entities/services", _tick_two)
    yield View("services-nothing-found", "{main}/entities/services?q=unknown")
    yield View("services-of-a-tag", "{main}/entities/services?tags=public")
    for form in FORMS_OF_TEXT:
        yield View(f"service-as-{form.lower()}", f"{{main}}/entities/services/{{id:orders}}?as={form}")
    yield View("changes", "{main}/changes")
    yield View("changes-of-one", "{main}/changes?entity={id:orders}")
    yield View("changes-empty", "{empty}/changes")
    yield View("network", "/us/network")
    yield View("components", "/components")
    yield View("not-found", "/us/nowhere", status=404)
    yield View("no-such-plane", "/us/control-planes/none", status=404)
    yield View("no-such-service", "{main}/entities/services/none", status=404)


def _nodes() -> Iterator[View]:
    yield View("nodes", "{main}/nodes")
    yield View("nodes-empty", "{empty}/nodes")
    yield View("node-with-issues", f"{{main}}/nodes/{OLD_NODE}")
    yield View("node-away", f"{{main}}/nodes/{AWAY_NODE}")
    yield View("node-new", "{new}/nodes/new")
    for place in PLACES:
        yield View(f"node-new-{place.lower()}", "{new}/nodes/new", _open_place(place), is_alike=place == "macOS")
    yield View("kubernetes-instructions", "{kic}/connection-instructions")
    yield View("kubernetes-instructions-made", "{kic}/connection-instructions", _make_certificate)
    yield View("node-certificates", "{main}/node-certificates")
    yield View("node-certificates-renew", "{main}/node-certificates", _renew)
    yield View("node-certificates-empty", "{empty}/node-certificates")
    yield View("node-certificates-problem", "{main}/node-certificates", _certificate_wrong)


def _traffic() -> Iterator[View]:
    yield View("traffic", "{main}/traffic")
    yield View("traffic-day", "{main}/traffic?range=24h")
    yield View("traffic-quarter", "{main}/traffic?range=15m", is_alike=True)
    yield View("traffic-of-a-service", "{main}/traffic?range=24h&service={id:orders}")
    yield View("traffic-errors", "{main}/traffic?errors=1", is_alike=True)
    yield View("traffic-empty", "{empty}/traffic")
    yield View("request", "{main}/traffic/requests/{request}")
    yield View("request-failed", "{main}/traffic/requests/{request-failed}")


def _plugins() -> Iterator[View]:
    path = "{main}/entities/plugins/new"
    yield View("plugins-gallery", path)
    yield View("plugins-gallery-found", f"{path}?q=rate")
    yield View("plugins-gallery-nothing-found", f"{path}?q=unknown")
    yield View("plugins-gallery-scoped", f"{path}?service={{id:orders}}")
    for name in FORMS_OF_PLUGINS:
        yield View(f"plugin-new-{name}", f"{path}?plugin={name}&service={{id:orders}}")


def every_plugin() -> Iterator[View]:
    """The form of every bundled plugin."""
    for name in sorted(plugin_types()):
        yield View(f"plugin-new-{name}", f"{{main}}/entities/plugins/new?plugin={name}")


def _entities(collection: str) -> Iterator[View]:
    name, path = collection.replace("_", "-"), f"{{main}}/entities/{collection}"
    is_alike = collection not in _SHOWN_WHOLE
    yield View(name, path, is_alike=is_alike)
    yield View(f"{name}-empty", f"{{empty}}/entities/{collection}", is_alike=collection != "services")
    if collection != "plugins":
        yield View(f"{name}-new", f"{path}/new", is_alike=is_alike)
    if collection not in _NOT_SEEDED:
        one = {"plugins": "limits", "services": SERVICES[0], "consumers": "partner-north"}.get(collection, collection)
        for part in ("", "/edit", "/delete"):
            yield View(f"{name}-one{part.replace('/', '-')}", f"{path}/{{id:{one}}}{part}", is_alike=is_alike)


_SHOWN_WHOLE = ("services", "routes", "plugins", "upstreams", "certificates")
_NOT_SEEDED = ("filter_chains", "licenses")
