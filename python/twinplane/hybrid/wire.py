"""Version 1 of the hybrid protocol as bytes and values: frames, their fields, their limits. Pure: no socket, no clock.

What only two twinplanes say to each other (`revision`, `epoch`, `applied`) other peers ignore or never get.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import orjson

from twinplane.hybrid.errors import FrameInvalid, PayloadTooLarge
from twinplane.hybrid.hashing import EMPTY_HASH, Hashes
from twinplane.hybrid.strict_json import check_names, read_strict_object, said_text

CONFIG_PATH = "/v1/outlet"
TELEMETRY_PATH = "/v1/analytics/batches"
# Where nodes of other makers send telemetry in a form that is not public: accepted and drained, never decoded.
FOREIGN_TELEMETRY_PATHS = ("/v1/analytics/reqlog", "/v1/ingest")
LINK_HEADER = "Twinplane-Link"
LINK_VERSION = "1"

PING_INTERVAL_S = 30.0
SILENCE_S = 45.0
IO_TIMEOUT_S = 5.0
RECONNECT_MIN_S, RECONNECT_MAX_S = 5.0, 10.0
HASH_LENGTH = 32
PAYLOAD_BYTES_MAX = 16_777_216
# A payload inflates to at most this many times its limit, and never by more than gzip gains on real tables.
INFLATED_FACTOR_MAX = 16
_INFLATED_RATIO_MAX = 200
_INFLATED_FLOOR = 1_048_576
BASIC_INFO_BYTES_MAX = 1_048_576
REPORT_BYTES_MAX = 1_048_576
PLUGINS_MAX, LABELS_MAX, ISSUES_MAX = 1000, 10, 1000
# What every reader of JSON takes for the same number.
REVISION_MAX = 2**53
_TEXT_MAX = 512
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?")
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_HOSTNAME = re.compile(r"[\w.:-]{1,253}", re.ASCII)
_VERSION_TEXT = re.compile(r"[\w.+~-]{1,64}", re.ASCII)
_HASH = re.compile(rb"[0-9A-Za-z_]{32}")
_LABEL = re.compile(r"[a-z0-9](?:[\w.:-]{0,61}[a-z0-9])?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class NodeVersion:
    """A gateway version of three or four numbers; what follows them is ignored."""

    major: int
    minor: int
    patch: int
    build: int = 0
    parts: int = field(default=3, compare=False)

    @property
    def number(self) -> int:
        """The four numbers to base 1000, as compatibility rules compare them."""
        return ((self.major * 1000 + self.minor) * 1000 + self.patch) * 1000 + self.build

    @property
    def is_enterprise(self) -> bool:
        """Whether it is of the four-part form."""
        return self.parts == 4

    def __str__(self) -> str:
        numbers = (self.major, self.minor, self.patch, self.build)
        return ".".join(str(number) for number in numbers[: self.parts])


def parse_version(text: str) -> NodeVersion | None:
    """The version at the start of `text`, None where there is none."""
    found = _VERSION.match(text)
    if found is None:
        return None
    major, minor, patch, build = (None if part is None else int(part) for part in found.groups())
    return NodeVersion(major or 0, minor or 0, patch or 0, build or 0, parts=3 if build is None else 4)


@dataclass(frozen=True, slots=True)
class NodeQuery:
    """Who a node says it is, in the query of its upgrade request."""

    node_id: str
    hostname: str
    version: str


def connect_path(path: str, query: NodeQuery) -> str:
    """The request target of an upgrade."""
    fields = {"node_id": query.node_id, "node_hostname": query.hostname, "node_version": query.version}
    return f"{path}?{urlencode(fields)}"


def parse_connect_path(target: str) -> tuple[str, NodeQuery | None]:
    """The path of an upgrade's target and who asks, None where the query does not say it in a usable form.

    Values are not percent-encoded by Kong's nodes, so a stray `%` or `+` is taken as it stands.
    """
    parts = urlsplit(target)
    fields: dict[str, str] = {}
    for pair in parts.query.split("&"):
        name, separator, value = pair.partition("=")
        if separator:
            fields.setdefault(name, unquote(value))
    query = node_query(
        fields.get("node_id", ""), fields.get("node_hostname", "") or "unknown", fields.get("node_version", "")
    )
    return parts.path, query


def node_query(node_id: str, hostname: str, version: str) -> NodeQuery | None:
    """Who a node says it is, None where that cannot be used."""
    if not (_UUID.fullmatch(node_id) and _VERSION_TEXT.fullmatch(version) and _HOSTNAME.fullmatch(hostname)):
        return None
    return NodeQuery(node_id.lower(), hostname, version)


@dataclass(frozen=True, slots=True)
class BasicInfo:
    """The first frame of a node: what it can run and how it is set up."""

    plugins: Mapping[str, str | None]
    labels: Mapping[str, str] = field(default_factory=dict)
    filters: Sequence[str] = ()
    process_conf: Mapping[str, Any] = field(default_factory=dict)


def encode_basic_info(info: BasicInfo) -> bytes:
    """The frame's bytes. `process_conf` must have its secrets masked already."""
    plugins = [
        {"name": name} if version is None else {"name": name, "version": version}
        for name, version in sorted(info.plugins.items())
    ]
    message: dict[str, Any] = {
        "type": "basic_info",
        "plugins": plugins,
        "filters": {name: {"name": name} for name in info.filters},
        "process_conf": dict(info.process_conf),
    }
    if info.labels:
        message["labels"] = dict(info.labels)
    return orjson.dumps(message)


def decode_basic_info(data: bytes) -> BasicInfo:
    """What a node's first frame says. Everything in it is untrusted: sizes, names and types are checked."""
    if len(data) > BASIC_INFO_BYTES_MAX:
        raise PayloadTooLarge(len(data), BASIC_INFO_BYTES_MAX)
    message = read_strict_object(data)
    plugins = message.get("plugins")
    if message.get("type") != "basic_info" or not isinstance(plugins, list) or len(plugins) > PLUGINS_MAX:
        raise FrameInvalid("the first frame is no basic_info", "basic_info_invalid")
    filters = message.get("filters")
    process_conf = message.get("process_conf")
    return BasicInfo(
        plugins=dict(_plugin(entry) for entry in plugins),
        labels=read_labels(message.get("labels")),
        filters=[str(name)[:_TEXT_MAX] for name in filters][:PLUGINS_MAX] if isinstance(filters, dict) else (),
        process_conf=process_conf if isinstance(process_conf, dict) else {},
    )


def _plugin(entry: object) -> tuple[str, str | None]:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or len(entry["name"]) > _TEXT_MAX:
        raise FrameInvalid("basic_info: a plugin without a name", "basic_info_invalid")
    version = entry.get("version")
    return entry["name"], version[:64] if isinstance(version, str) else None


def read_labels(labels: object) -> dict[str, str]:
    """The labels of a node that are well formed, as many as it may have."""
    # An empty table of Lua may arrive as a list.
    if not isinstance(labels, dict):
        return {}
    kept = {
        key: value
        for key, value in labels.items()
        if isinstance(value, str) and _LABEL.fullmatch(key) and _LABEL.fullmatch(value)
    }
    return dict(list(kept.items())[:LABELS_MAX])


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """A configuration as it crosses the link. `table` is the JSON text of `config_table`."""

    config_hash: str
    table: bytes
    revision: int | None = None
    epoch: str | None = None


def encode_reconfigure(
    table: bytes,
    hashes: Hashes,
    *,
    timestamp: float,
    revision: int | None = None,
    epoch: str | None = None,
    compression: int = 1,
) -> bytes:
    """The compressed frame. `table` is JSON text; it comes last, so that a twinplane node can cut it out undecoded."""
    head: dict[str, Any] = {
        "type": "reconfigure",
        "timestamp": round(timestamp, 3),
        "config_hash": hashes.config,
        "hashes": hashes.as_message(),
    }
    if revision is not None and epoch is not None:
        head |= {"revision": revision, "epoch": epoch}
    packer = zlib.compressobj(compression, zlib.DEFLATED, 31)
    pieces = (orjson.dumps(head)[:-1] + _TABLE_MARK, table, b"}")
    return b"".join([*(packer.compress(piece) for piece in pieces), packer.flush()])


_TABLE_MARK = b',"config_table":'


def decode_reconfigure(frame: bytes, *, bytes_max: int, is_twin: bool) -> Reconfigure | None:
    """What a configuration frame holds, None for a message of another type. Raises on a frame that is not gzip."""
    return read_reconfigure(inflate(frame, bytes_max=bytes_max), is_twin=is_twin)


def read_reconfigure(text: bytes, *, is_twin: bool) -> Reconfigure | None:
    """The same of a frame's text.

    From a twinplane peer the table is cut out without decoding it; if the cut is wrong the core refuses the text, as it
    does a name that is twice in an object. Other tables are decoded, where of two such entries one would be lost.
    """
    if is_twin:
        head, mark, table = text.partition(_TABLE_MARK)
        if mark and table.endswith(b"}"):
            return _reconfigure(_object(head + b"}"), table[:-1])
    message = _object(text)
    if "config_table" not in message:
        return _reconfigure(message, b"") if message.get("type") == "reconfigure" else None
    table = orjson.dumps(message.pop("config_table"))
    check_names(text, table, orjson.dumps(message), _TABLE_MARK)
    return _reconfigure(message, table)


def _reconfigure(head: dict[str, Any], table: bytes) -> Reconfigure | None:
    if head.get("type") != "reconfigure":
        return None
    if not table:
        raise FrameInvalid("reconfigure without a config_table")
    config_hash = head.get("config_hash")
    revision, epoch = head.get("revision"), head.get("epoch")
    return Reconfigure(
        config_hash=config_hash if isinstance(config_hash, str) else "",
        table=table,
        revision=revision if isinstance(revision, int) else None,
        epoch=epoch if isinstance(epoch, str) else None,
    )


def inflate(data: bytes, *, bytes_max: int) -> bytes:
    """The text of a gzip frame. Bounded, so that a small frame cannot fill the memory."""
    if len(data) > bytes_max:
        raise PayloadTooLarge(len(data), bytes_max)
    limit = min(bytes_max * INFLATED_FACTOR_MAX, max(len(data) * _INFLATED_RATIO_MAX, _INFLATED_FLOOR))
    unpacker = zlib.decompressobj(31)
    try:
        text = unpacker.decompress(data, limit)
    except zlib.error as error:
        raise FrameInvalid("not gzip", "not_gzip") from error
    if unpacker.unconsumed_tail:
        raise PayloadTooLarge(limit + 1, limit)
    if not unpacker.eof:
        raise FrameInvalid("gzip stream is cut off", "not_gzip")
    return text


@dataclass(frozen=True, slots=True)
class Issue:
    """Something in a configuration that a node does not run as asked."""

    code: str
    message: str
    plugin: str | None = None
    plugin_id: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a node refused a payload; the form that peers of Konnect understand."""

    name: str
    source: str
    config_hash: str
    message: str
    code: int = 14
    flattened_errors: Sequence[Mapping[str, Any]] = ()


FAULT_PARSE = "declarative configuration parse failure"
FAULT_RELOAD = "configuration reload failed"
FAULT_OTHER = "generic or unknown error"


def encode_fault(fault: Fault) -> bytes:
    """The frame by which a node says that it keeps its old configuration. Plain JSON."""
    error = {
        "name": fault.name,
        "source": fault.source,
        "code": fault.code,
        "config_hash": fault.config_hash,
        "message": fault.message,
        "flattened_errors": list(fault.flattened_errors),
    }
    return orjson.dumps({"type": "error", "error": error})


@dataclass(frozen=True, slots=True)
class Applied:
    """What a twinplane node tells its twin after each change: what it runs, and what of it it cannot run."""

    config_hash: str
    revision: int | None
    epoch: str | None
    issues: Sequence[Issue] = ()
    digest: str | None = None
    """Of the rows that it keeps; without it the node takes no deltas."""


def encode_applied(applied: Applied) -> bytes:
    """The frame's bytes. Sent only on a link whose upgrade was answered with the link header."""
    issues = [
        {"code": issue.code, "message": issue.message, "plugin": issue.plugin, "plugin_id": issue.plugin_id}
        for issue in applied.issues[:ISSUES_MAX]
    ]
    message: dict[str, Any] = {"type": "applied", "config_hash": applied.config_hash, "issues": issues}
    message |= {"revision": applied.revision, "epoch": applied.epoch}
    return orjson.dumps(message if applied.digest is None else message | {"digest": applied.digest})


def decode_report(data: bytes) -> Fault | Applied | None:
    """What a node's later binary frame says, None for a kind that is not known. Untrusted."""
    if len(data) > REPORT_BYTES_MAX:
        raise PayloadTooLarge(len(data), REPORT_BYTES_MAX)
    message = read_strict_object(data)
    if message.get("type") == "error" and isinstance(message.get("error"), dict):
        return _fault(message["error"])
    if message.get("type") == "applied":
        issues = message.get("issues")
        revision, epoch, digest = message.get("revision"), message.get("epoch"), message.get("digest")
        return Applied(
            config_hash=_text(message.get("config_hash")),
            revision=_revision(revision),
            epoch=_text(epoch) if isinstance(epoch, str) else None,
            issues=[_issue(entry) for entry in issues[:ISSUES_MAX] if isinstance(entry, dict)]
            if isinstance(issues, list)
            else (),
            digest=_text(digest) if isinstance(digest, str) else None,
        )
    return None


def _revision(value: object) -> int | None:
    if not isinstance(value, int):
        return None
    if isinstance(value, bool) or not 0 <= value <= REVISION_MAX:
        raise FrameInvalid("a revision that cannot be", "report_invalid")
    return value


def _fault(error: Mapping[str, Any]) -> Fault:
    code, flattened = error.get("code"), error.get("flattened_errors")
    return Fault(
        name=_text(error.get("name")),
        source=_text(error.get("source")),
        config_hash=_text(error.get("config_hash")),
        message=_text(error.get("message")),
        code=code if isinstance(code, int) else 0,
        flattened_errors=[entry for entry in flattened[:100] if isinstance(entry, dict)]
        if isinstance(flattened, list)
        else (),
    )


def _issue(entry: Mapping[str, Any]) -> Issue:
    plugin, plugin_id = entry.get("plugin"), entry.get("plugin_id")
    return Issue(
        code=_text(entry.get("code")),
        message=_text(entry.get("message")),
        plugin=_text(plugin) if isinstance(plugin, str) else None,
        plugin_id=plugin_id.lower() if isinstance(plugin_id, str) and _UUID.fullmatch(plugin_id) else None,
    )


def parse_ping(data: bytes) -> str:
    """The configuration hash in a node's PING."""
    if not _HASH.fullmatch(data):
        raise FrameInvalid("a ping without a configuration hash", "ping_invalid")
    return data.decode("ascii")


def ping_payload(config_hash: str | None) -> bytes:
    """What a node's PING carries. A hash of another length, as some control planes send, cannot be reported."""
    text = (config_hash or EMPTY_HASH).encode()
    return text if _HASH.fullmatch(text) else EMPTY_HASH.encode()


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FrameInvalid("not JSON", "not_json") from error
    if not isinstance(value, dict):
        raise FrameInvalid("no JSON object", "not_json")
    return value


def _text(value: object) -> str:
    return said_text(value, _TEXT_MAX)
