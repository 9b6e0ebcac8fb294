"""The compiled data plane: it moves bytes and decides nothing that a configuration has not decided.

Settings, configuration and everything drained cross as JSON; their forms stand in `docs/concepts/core-door.md`.
"""

from collections.abc import Sequence
from typing import Any, Literal, final

class StartError(Exception):
    """The core cannot start and nothing stays open; `args[0]` is a list of everything that is wrong."""

class ApplyError(Exception):
    """The configuration cannot be served, the one before still is; `args[0]` is a JSON list of faults."""

class VisitOver(Exception):
    """The request did not wait for the plugin any longer."""

@final
class Visit:
    """One request at one plugin in Python in one phase; `is_response` says whose headers are meant."""

    request_id: str
    plugin: str
    plugin_id: str
    is_over: bool
    status: int
    upstream_status: int | None
    is_anonymous: bool

    def fact(self, name: str) -> str: ...
    def header(self, is_response: bool, name: str) -> str | None: ...
    def header_values(self, is_response: bool, name: str) -> list[str]: ...
    def headers(self, is_response: bool) -> list[tuple[str, str]]: ...
    def set_header(self, is_response: bool, name: str, value: str) -> None: ...
    def add_header(self, is_response: bool, name: str, value: str) -> None: ...
    def remove_header(self, is_response: bool, name: str) -> bool: ...
    def body(self) -> tuple[bytes | None, bool]: ...
    def response_body(self) -> bytes | None: ...
    def set_response_body(self, body: bytes) -> None: ...
    def set_upstream(self, name: str, value: str | None) -> None: ...
    def set_body(self, body: bytes) -> None: ...
    def set_target(self, host: str, port: int) -> None: ...
    def set_status(self, status: int) -> None: ...
    def chunk(self) -> tuple[bytes, bool]: ...
    def set_chunk(self, data: bytes) -> None: ...
    def consumer(self) -> dict[str, Any] | None: ...
    def find_consumer(self, by: str, value: str) -> dict[str, Any] | None: ...
    def authenticate(self, consumer: str | None, credential: tuple[str, str] | None, groups: Sequence[str]) -> None: ...
    def authenticate_anonymous(self, consumer: str) -> None: ...
    def forget_caller(self) -> None: ...
    def credential(self) -> tuple[str, str] | None: ...
    def route(self) -> dict[str, Any] | None: ...
    def service(self) -> dict[str, Any] | None: ...
    def captures(self) -> list[tuple[str, str]]: ...
    def kept(self) -> Any: ...
    def keep(self, kept: Any) -> None: ...
    def shared(self) -> Any: ...
    def share(self, shared: Any) -> None: ...
    def finish(self, answer: Any) -> None:
        """The verdict of a call that said that it comes later: None to go on, else `(status, body, headers)`."""

    def fail(self) -> None:
        """The plugin broke."""

    def refuse(self) -> None:
        """There is no room for one more."""

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
    """Address, port and whether TLS is spoken, in the order of the settings; those for requests."""
    stream_listeners: list[tuple[str, int, bool, bool]]
    """Those for streams: as above, and whether they take datagrams."""
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
    def start(settings: bytes, payload: bytes | None = None, host: object | None = None) -> Core:
        """Start the workers; raises `StartError` and leaves nothing open where anything is wrong.

        `host` keeps the plugins in Python: `twinplane.node.plugin_host.PluginHost`.
        """

    def run_plugins(self, thread: int) -> None:
        """Lend the calling thread to plugins in Python, until the core has stopped and nothing waits for them."""

    def watch_plugins(self) -> None:
        """Lend the calling thread to watching over calls, as long: those that run over their time are interrupted."""

    def plugin_counts(self) -> dict[str, int]:
        """How calls of plugins in Python fare."""

    def apply(self, payload: bytes) -> Applied:
        """Put a configuration in force whole; raises `ApplyError` and keeps the one before."""

    def renew(self, certificates: bytes) -> None:
        """Serve other default certificates from the next handshake on; raises `StartError` and keeps those before."""

    def adopt(self, settings: bytes) -> None:
        """Serve by other settings from the next request and connection on, listeners included.

        Raises `StartError` and keeps those before. Workers, identity, sizes of what is kept and how routes are written
        are those of the start, whatever the settings say.
        """

    def judge(self, judgements: bytes) -> int:
        """Take into account what probes saw of targets, or what people want of them; how many peers it was about.

        Raises `ValueError` where the list cannot be read; nothing of it is taken then.
        """

    def drain(
        self,
        kind: Literal[
            "records",
            "usage",
            "logs",
            "access",
            "metrics",
            "probes",
            "health",
            "troubles",
            "upstreams",
            "counter_stores",
        ],
    ) -> bytes:
        """Take away what has gathered: JSON lines, for metrics one JSON object, for the others a JSON list.

        Never waits for a request.
        """

    def kept_answers(self, wanted: bytes) -> bytes:
        """Look into what proxy-cache keeps, or forget of it: `"clear"`, `{"find": key}` or `{"forget": key}`, as JSON.

        The answer is what was found (null for nothing), or how many went. Raises `ValueError`.
        """

    def explain(self, question: bytes) -> bytes:
        """Tell what would become of a request, as JSON; nothing is sent or counted. Raises `ValueError`."""

    def status(self) -> Status:
        """Tell how the core is."""

    def stop(self, grace_ms: int) -> None:
        """Take no more connections, finish what is under way within the grace, cut the rest."""
