"""What a use case can refuse, as data: no HTTP, no wording of any face.

`code` is stable and, for entity errors, Kong's number where Kong has one. Each face words them for its own clients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any, ClassVar

from twinplane.store.errors import StoreBusy, StoreError, StoreTooNew, StoreUnreadable, StoreUnwritable

__all__ = [
    "BatchRefused",
    "ControlError",
    "DeclarativeViolation",
    "ForeignKeyViolation",
    "ForeignKeysUnresolved",
    "InvalidKey",
    "InvalidOffset",
    "InvalidOptions",
    "InvalidParameter",
    "InvalidParameters",
    "InvalidPrimaryKey",
    "InvalidSize",
    "LimitExceeded",
    "NameTaken",
    "NotFound",
    "Predefined",
    "PrimaryKeyViolation",
    "ReadOnly",
    "ReferencedViolation",
    "StillReferenced",
    "StoreBusy",
    "StoreError",
    "StoreTooNew",
    "StoreUnreadable",
    "StoreUnwritable",
    "TokenExpired",
    "TokenInvalid",
    "TokenRevoked",
    "UniqueViolation",
    "UnknownType",
    "WithoutStore",
]


class ControlError(Exception):
    """Base of every refusal of this room. `code` is stable."""

    code: ClassVar[int | str] = "refused"


@dataclass
class UnknownType(ControlError):
    """No entity type bears this collection name."""

    code = "unknown_type"
    type_name: str


@dataclass
class InvalidPrimaryKey(ControlError):
    """A key that has to be a UUID is none (1)."""

    code = 1
    fields: Mapping[str, str]


@dataclass
class PrimaryKeyViolation(ControlError):
    """The id is null or already taken (3)."""

    code = 3
    key: Mapping[str, Any]


@dataclass
class ForeignKeyViolation(ControlError):
    """`field` names an entity of `target` that does not exist (4)."""

    code = 4
    field: str
    target: str
    key: Mapping[str, Any]


@dataclass
class ReferencedViolation(ControlError):
    """An entity of `type_name` cannot go while one of `by` references it (4)."""

    code = 4
    type_name: str
    by: str


@dataclass
class UniqueViolation(ControlError):
    """Another entity holds these values already (5). References are `{"id": …}`, absent parts None."""

    code = 5
    fields: Mapping[str, Any]


@dataclass
class NotFound(ControlError):
    """No such thing (6). `key` is the looked-up field and value; `nested` where it was sought under a parent.

    `kind` is an entity's collection name, or `control_planes`, `nodes`, `node_certificates`, `tokens`, `users`,
    `organizations`. `parent` tells that it is the parent itself which does not exist.
    """

    code = 6
    kind: str
    key: Mapping[str, Any]
    nested: bool = False
    parent: bool = False


@dataclass
class InvalidOffset(ControlError):
    """The offset was not made by a former page (7)."""

    code = 7
    offset: str
    reason: str = "bad json encoding"


@dataclass
class InvalidSize(ControlError):
    """The page size is out of range (9)."""

    code = 9
    size_max: int


@dataclass
class WithoutStore(ControlError):
    """What no store keeps is not written one by one (12). `by` is the field that named it, None where its id did."""

    code = 12
    doing: str
    type_name: str
    by: str | None = None


@dataclass
class InvalidKey(ControlError):
    """The key in a path cannot be a value of the type's endpoint key (10)."""

    code = 10
    field: str
    reason: str


@dataclass
class InvalidOptions(ControlError):
    """A filter is malformed (11): option to what is wrong with it."""

    code = 11
    options: Mapping[str, str]


@dataclass
class ForeignKeysUnresolved(ControlError):
    """References by name that name nothing (13): field to (key field, value, target collection)."""

    code = 13
    references: Mapping[str, tuple[str, Any, str]]


@dataclass
class StillReferenced(ControlError):
    """A CA certificate in use cannot go (19)."""

    code = 19
    type_name: str
    id: str
    by: str
    by_id: str


@dataclass
class DeclarativeViolation(ControlError):
    """A declarative document is wrong (14): every violation nested as the document is, and flattened by entity.

    `rest` is what belongs to no entity, to be told beside the flattened ones.
    """

    code = 14
    fields: Mapping[str, Any]
    flattened: Sequence[Mapping[str, Any]] = ()
    rest: Mapping[str, Any] = default(default_factory=dict)


@dataclass
class BatchRefused(ControlError):
    """One operation of a batch was refused, so none of it was kept: which one, and why."""

    code = "batch_refused"
    position: int
    cause: Exception


@dataclass
class LimitExceeded(ControlError):
    """Something is larger than a limit of the settings."""

    code = "limit_exceeded"
    what: str
    limit: int

    def __str__(self) -> str:
        return f"{self.what}: more than {self.limit}"


@dataclass(frozen=True, slots=True)
class InvalidParameter:
    """One wrong parameter of a platform call. `rule` is one of the rule names of the Konnect API."""

    field: str
    rule: str
    reason: str
    source: str = "body"
    extra: Mapping[str, Any] = default(default_factory=dict)


@dataclass
class InvalidParameters(ControlError):
    """Every wrong parameter of a platform call at once."""

    code = "invalid_parameters"
    parameters: Sequence[InvalidParameter]


@dataclass
class NameTaken(ControlError):
    """Another object of the platform has this value of `field` already."""

    code = "name_taken"
    kind: str
    field: str
    value: str


@dataclass
class Predefined(ControlError):
    """A predefined object (the control plane `default`, the last token) stays."""

    code = "predefined"
    kind: str
    name: str


@dataclass
class ReadOnly(ControlError):
    """The entities of this control plane are written by its ingress controller alone."""

    code = "read_only"
    control_plane: str


class TokenInvalid(ControlError):
    """No such token, or not a token at all."""

    code = "token_invalid"


class TokenExpired(TokenInvalid):
    """The token's time is over."""

    code = "token_expired"


class TokenRevoked(TokenInvalid):
    """The token was revoked."""

    code = "token_revoked"
