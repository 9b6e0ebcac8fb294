"""A page whose every fault is written down: of its console, scripts, requests and policy, and of accessibility."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

ASSERTED_IMPACTS = ("serious", "critical")
_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""


@dataclass
class Watched:
    """One page and what went wrong in it so far."""

    page: Page
    faults: list[str] = field(default_factory=list)

    @classmethod
    def new(cls, context: BrowserContext) -> Watched:
        """A new page of a context."""
        found = cls(context.new_page())
        found.page.add_init_script(_VIOLATIONS)
        found.page.on("console", found._console)
        found.page.on("pageerror", lambda error: found.faults.append(f"script: {error}"))
        found.page.on("requestfailed", found._failed)
        found.page.on("response", found._answered)
        return found

    def take(self) -> list[str]:
        """What went wrong since the last call."""
        faults, self.faults = self.faults, []
        return faults

    def _console(self, message: ConsoleMessage) -> None:
        # That an answer was an error is seen at the answer itself, where it is known whether it was meant.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"console: {message.text}")

    def _failed(self, request: Request) -> None:
        # Leaving a page ends its event stream, and its own requests.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"request: {request.url} {request.failure}")

    def _answered(self, answer: Response) -> None:
        if answer.status >= 400 and not answer.request.is_navigation_request():
            self.faults.append(f"answer: {answer.status} {answer.url}")


class Axe:
    """The engine that looks for faults of accessibility. `missing` says why there is none."""

    def __init__(self, source: str, *, missing: str = "") -> None:
        self._source = source
        self.missing = missing

    def load(self, page: Page) -> None:
        """Bring it into a page; the page's policy is not asked, as nothing of the page loads it."""
        if not self.missing:
            page.evaluate(self._source)

    def faults(self, page: Page, *rules: str) -> list[str]:
        """What it finds serious or critical; of some rules alone where they are named."""
        if self.missing:
            return []
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if rules:
            options["runOnly"] = {"type": "rule", "values": list(rules)}
        found = page.evaluate("async (options) => (await axe.run(document, options)).violations", options)
        return [
            f"axe {one['id']}: {one['help']}: {one['nodes'][0]['html'][:160]} ({len(one['nodes'])} places)"
            for one in found
            if one["impact"] in ASSERTED_IMPACTS
        ]
