"""Configuration by deltas, `kong.sync.v2`: its methods, and the two dialects in which versions are told. Pure.

Kong 3.9 counts versions as numbers and says `wipe`; from 3.10 on a version is a token, and one says `full_sync`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from twinplane.hybrid.errors import FrameInvalid
from twinplane.hybrid.strict_json import said_text
from twinplane.hybrid.wire import NodeVersion

GET_DELTA: Final = "kong.sync.v2.get_delta"
NOTIFY_NEW_VERSION: Final = "kong.sync.v2.notify_new_version"
NOTIFY_VALIDATION_ERROR: Final = "kong.sync.v2.notify_validation_error"
# The one name under which versions and deltas stand.
NAMESPACE: Final = "default"
NO_TOKEN: Final = "0" * 32
_TOKEN = re.compile(r"v02_[0-9a-f]{28}")
_REVISION_MAX: Final = 2**53
_TEXT_MAX: Final = 512

Version = int | str


class Dialect(Enum):
    """How a peer tells versions."""

    NUMBERS = "numbers"
    TOKENS = "tokens"

    @property
    def whole_flag(self) -> str:
        """What says that an answer holds everything."""
        return "wipe" if self is Dialect.NUMBERS else "full_sync"

    @property
    def none(self) -> Version:
        """The version of a node that has nothing."""
        return 0 if self is Dialect.NUMBERS else NO_TOKEN


DIALECTS: Final[Mapping[NodeVersion, Dialect]] = {
    NodeVersion(3, 9, 3): Dialect.NUMBERS,
    NodeVersion(3, 10, 0): Dialect.TOKENS,
}
"""The versions whose peers are offered deltas: exactly these. What others call a version is not known."""


def dialect_of(version: NodeVersion | None) -> Dialect | None:
    """How a peer of that version tells versions, None where it is offered no deltas."""
    if version is None or version.is_enterprise:
        return None
    return DIALECTS.get(version)


def version_of(dialect: Dialect, revision: int, epoch: str) -> Version:
    """What a revision is called. A token keeps the order of revisions and differs where the epoch does."""
    if dialect is Dialect.NUMBERS:
        return revision
    return f"v02_{revision:016x}{hashlib.sha256(epoch.encode()).hexdigest()[:12]}"


def config_hash_of(version: Version) -> str:
    """How the version stands in a node's row, in the place of the hash."""
    return f"{version:032d}" if isinstance(version, int) else version


def revision_of(version: Version) -> int:
    """The revision in a version of ours; 0 in one that is none."""
    if isinstance(version, int):
        return version
    return int(version[4:20], 16) if _TOKEN.fullmatch(version) else 0


@dataclass(frozen=True, slots=True)
class Delta:
    """One row that was written, or that is gone: then there is no entity."""

    type: str
    entity: Mapping[str, Any] | None
    version: Version
    pk: Mapping[str, Any] | None = None

    def message(self, workspace_id: str) -> dict[str, Any]:
        """As it crosses the link."""
        told = {"type": self.type, "entity": self.entity, "version": self.version, "ws_id": workspace_id}
        return told if self.pk is None else told | {"pk": self.pk}


def read_version(params: Sequence[Any]) -> Version:
    """The version in the parameters of `get_delta`. Raises FrameInvalid."""
    return _version(_namespace(params).get("version"))


def read_new_version(params: Sequence[Any]) -> Version:
    """The version in the parameters of `notify_new_version`. Raises FrameInvalid."""
    return _version(_namespace(params).get("new_version"))


@dataclass(frozen=True, slots=True)
class ValidationError:
    """Why a node did not take what it was sent."""

    version: str
    message: str
    flattened_errors: Sequence[Mapping[str, Any]]


def read_validation_error(params: Sequence[Any]) -> ValidationError:
    """The parameters of `notify_validation_error`. Raises FrameInvalid."""
    said = params[0] if params else None
    error = said.get("error") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(error, dict):
        raise FrameInvalid("no validation error", "params_invalid")
    name, message, flattened = error.get("name"), error.get("message"), error.get("flattened_errors")
    text = ": ".join(part for part in (name, message) if isinstance(part, str))
    return ValidationError(
        said_text(str(said.get("version")), 64),
        said_text(text, _TEXT_MAX),
        [each for each in flattened[:100] if isinstance(each, dict)] if isinstance(flattened, list) else (),
    )


@dataclass(frozen=True, slots=True)
class Received:
    """What a node is answered to `get_delta`."""

    deltas: Sequence[Delta]
    is_whole: bool


def read_deltas(result: object) -> Received:
    """The answer to `get_delta`. Raises FrameInvalid."""
    said = result.get(NAMESPACE) if isinstance(result, dict) else None
    deltas = said.get("deltas") if isinstance(said, dict) else None
    # An empty table of Lua arrives as an object.
    deltas = [] if deltas == {} else deltas
    if not isinstance(said, dict) or not isinstance(deltas, list):
        raise FrameInvalid("no deltas", "deltas_invalid")
    is_whole = any(said.get(dialect.whole_flag) is True for dialect in Dialect)
    return Received([_delta(each) for each in deltas], is_whole)


def _delta(value: object) -> Delta:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise FrameInvalid("a delta without a type", "deltas_invalid")
    entity, pk = value.get("entity"), value.get("pk")
    if not isinstance(entity, dict | None) or not isinstance(pk, dict | None) or (entity is None and pk is None):
        raise FrameInvalid("a delta without an entity and without a key", "deltas_invalid")
    return Delta(value["type"], entity, _version(value.get("version")), pk)


def _namespace(params: Sequence[Any]) -> Mapping[str, Any]:
    said = params[0] if params else None
    inner = said.get(NAMESPACE) if isinstance(said, dict) else None
    if not isinstance(inner, dict):
        raise FrameInvalid(f"no {NAMESPACE} in the parameters", "params_invalid")
    return inner


def _version(value: object) -> Version:
    if isinstance(value, bool):
        raise FrameInvalid("no version", "params_invalid")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and 0 <= value < _REVISION_MAX:
        return value
    if isinstance(value, str) and len(value) == len(NO_TOKEN):
        return value
    raise FrameInvalid("no version", "params_invalid")
