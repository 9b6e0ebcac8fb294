"""The compiled data plane: it moves bytes and decides nothing that a configuration has not decided.

Settings, configuration and everything drained cross as JSON; their forms stand in `docs/concepts/core-door.md`.
"""

from typing import Any, Literal, final

class StartError(Exception):
    """The core cannot start and nothing stays open; `args[0]` is a list of everything that is wrong."""

class ApplyError(Exception):
    """The configuration cannot be served, the one before still is; `args[0]` is a JSON list of faults."""

@final
class Applied:
    """What came of a configuration that is now in force."""

    issues: list[dict[str, Any]]
    """`plugin_id`, `plugin`, `code` and `message` of each plugin that this node cannot run."""
    routes: int
    took_us: int

@final
class Status:
    """How the core is, at this moment."""

    listeners: list[tuple[str, int, bool]]
    """Address, port and whether TLS is spoken, in the order of the settings."""
    workers: int
    connections_active: int
    requests_total: int
    snapshot_ready: bool
    snapshots_total: int
    routes: int
    services: int
    invariant_broken: int
    issues: list[dict[str, Any]]
    """Of the configuration in force, as `Applied` told them."""

@final
class Core:
    """A running data plane."""

    @staticmethod
    def start(settings: bytes, payload: bytes | None = None) -> Core:
        """Start the workers; raises `StartError` and leaves nothing open where anything is wrong."""

    def apply(self, payload: bytes) -> Applied:
        """Put a configuration in force whole; raises `ApplyError` and keeps the one before."""

    def renew(self, certificates: bytes) -> None:
        """Serve other default certificates from the next handshake on; raises `StartError` and keeps those before."""

    def drain(self, kind: Literal["records", "usage", "logs", "metrics"]) -> bytes:
        """Take away what has gathered: JSON lines, for metrics one JSON object. Never waits for a request."""

    def status(self) -> Status:
        """Tell how the core is."""

    def stop(self, grace_ms: int) -> None:
        """Take no more connections, finish what is under way within the grace, cut the rest."""
