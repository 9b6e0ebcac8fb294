"""The base classes in whose bodies entities, plugins and their configurations are declared.

They are pydantic models, so editors and type checkers know the fields; `read` turns them into shapes, which work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypedDict

from pydantic import BaseModel, ConfigDict

from twinplane.schema.checks import EntityCheck
from twinplane.schema.shorthand import Shorthand

Edition = Literal["oss", "ee"]
Phase = Literal[
    "init_worker",
    "configure",
    "certificate",
    "rewrite",
    "access",
    "response",
    "header_filter",
    "body_filter",
    "log",
    "preread",
]


class Reference(TypedDict):
    """How a row names another row."""

    id: str


class Record(BaseModel):
    """Named fields with checks between them."""

    model_config = ConfigDict(defer_build=True, extra="forbid")

    checks: ClassVar[tuple[EntityCheck, ...]] = ()
    shorthands: ClassVar[tuple[Shorthand, ...]] = ()


@dataclass(frozen=True, slots=True)
class Transformation:
    """How a tested row becomes the one that is kept, whenever `of` is given; it cannot be done without `needs`."""

    change: Callable[[dict[str, Any]], None]
    of: str
    needs: str | None = None
    alone: bool = False
    """Whether an update may bring `of` and leave `needs` as it is."""


@dataclass(frozen=True, slots=True)
class ChosenBy:
    """How a body says which variant of its entity it is, and the violation where there is no such variant."""

    kind: Callable[[Mapping[str, Any]], Any]
    unknown: Callable[[Any], dict[str, str]]


def named_kind(row: Mapping[str, Any]) -> Any:
    """The kind of a row whose `name` says it. Odd values are read as Kong reads them."""
    name = row.get("name")
    if isinstance(name, list):
        return name[0] if name else "nil"
    return "nil" if isinstance(name, dict) else name


class Entity(Record):
    """A row of a collection. The keywords of the class statement are its facts as a whole."""

    collection: ClassVar[str] = ""
    singular: ClassVar[str] = ""
    admin_path: ClassVar[str] = ""
    nested_path: ClassVar[str] = ""
    endpoint_key: ClassVar[str | None] = None
    cache_key: ClassVar[tuple[str, ...]] = ()
    workspaced: ClassVar[bool] = True
    ttl: ClassVar[bool] = False
    edition: ClassVar[Edition] = "oss"
    since: ClassVar[str] = "1.0"
    read_only: ClassVar[bool] = False
    transformations: ClassVar[tuple[Transformation, ...]] = ()
    chosen_by: ClassVar[ChosenBy | None] = None

    def __init_subclass__(
        cls,
        *,
        collection: str = "",
        singular: str | None = None,
        admin_path: str | None = None,
        nested_path: str | None = None,
        endpoint_key: str | None = None,
        cache_key: Sequence[str] = (),
        workspaced: bool = True,
        ttl: bool = False,
        edition: Edition = "oss",
        since: str = "1.0",
        read_only: bool = False,
    ) -> None:
        super().__init_subclass__()
        if not collection:
            return
        cls.collection = collection
        cls.singular = singular or collection.removesuffix("s")
        cls.admin_path = admin_path or collection
        cls.nested_path = nested_path or cls.admin_path
        cls.endpoint_key = endpoint_key
        cls.cache_key = tuple(cache_key)
        cls.workspaced = workspaced
        cls.ttl = ttl
        cls.edition = edition
        cls.since = since
        cls.read_only = read_only


class Variant(Record):
    """One form of an entity whose fields depend on its `name`: declares the fields that it narrows or adds."""

    name: ClassVar[str] = ""


class Plugin(Variant):
    """A plugin: what it is called, when it runs, where it may be attached, and its configuration."""

    version: ClassVar[str] = ""
    priority: ClassVar[int] = 0
    phases: ClassVar[tuple[Phase, ...]] = ()
    observes_only: ClassVar[bool] = False
    since: ClassVar[str] = "1.0"

    def __init_subclass__(
        cls,
        *,
        name: str = "",
        version: str = "3.9.3",
        priority: int = 0,
        phases: Sequence[Phase] = (),
        observes_only: bool = False,
        since: str = "1.0",
    ) -> None:
        super().__init_subclass__()
        cls.name = name
        cls.version = version
        cls.priority = priority
        cls.phases = tuple(phases)
        cls.observes_only = observes_only
        cls.since = since
