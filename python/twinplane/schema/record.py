"""The base classes in whose bodies entities, plugins and their configurations are declared.

They are pydantic models, so editors and type checkers know the fields; `read` turns them into shapes, which do the work.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypedDict

from pydantic import BaseModel, ConfigDict

from twinplane.schema.checks import EntityCheck
from twinplane.schema.shorthand import Shorthand

Edition = Literal["oss", "ee"]
Phase = Literal["init_worker", "configure", "certificate", "rewrite", "access", "response", "header_filter", "body_filter", "log", "preread"]
Transformation = Callable[[dict[str, Any], frozenset[str]], None]


class Reference(TypedDict):
    """How a row names another row."""

    id: str


class Record(BaseModel):
    """Named fields with checks between them."""

    model_config = ConfigDict(defer_build=True, extra="forbid")

    checks: ClassVar[tuple[EntityCheck, ...]] = ()
    shorthands: ClassVar[tuple[Shorthand, ...]] = ()


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
    transformations: ClassVar[tuple[Transformation, ...]] = ()
    given_together: ClassVar[tuple[tuple[str, str], ...]] = ()
    variant_of: ClassVar[Callable[[dict[str, Any]], Any] | None] = None
    unknown_variant: ClassVar[Callable[[Any], dict[str, str]] | None] = None

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
