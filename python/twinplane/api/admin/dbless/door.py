"""What the Admin API of a node without control plane asks of that node. Plain values; called from threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from twinplane.hybrid.client import Outcome
from twinplane.hybrid.wire import Issue


class NodeDoor(Protocol):
    """The node."""

    @property
    def node_id(self) -> str:
        """Its id."""

    @property
    def is_stopping(self) -> bool:
        """Whether it takes no more configurations."""

    def serve(self, table: bytes, document: bytes) -> tuple[Outcome, Sequence[Issue]]:
        """Serve a table in place of the one before, and keep its document for the next start.

        The answer says what became of it, and what of it is not served as asked.
        """

    def issues(self) -> Sequence[Issue]:
        """What is not as it should be while it serves."""

    def settings(self) -> Mapping[str, Any]:
        """Its settings, secrets masked."""

    def status(self, unit: str, scale: str) -> tuple[int, Mapping[str, Any]]:
        """Status code and body of `/status`."""

    def metrics(self) -> tuple[bytes, str]:
        """What Prometheus reads, and its content type."""

    def workers(self) -> int:
        """How many threads proxy."""

    def targets(self, upstream: str) -> list[dict[str, Any]]:
        """The targets of an upstream, by id, with the health of each of their addresses."""

    def kept_answer(self, key: str) -> Mapping[str, Any] | None:
        """What proxy-cache keeps under a key, as clients are shown it."""

    def forget_answers(self, key: str | None) -> int:
        """Forget what proxy-cache keeps under a key, or all of it; how many answers that were."""

    def set_health(self, upstream: str, target: str, address: str | None, *, is_healthy: bool) -> bool:
        """Put a target in or out by hand, whole or one address of it. False where there is none such."""
