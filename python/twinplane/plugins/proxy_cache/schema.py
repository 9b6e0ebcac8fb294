"""The configuration of `proxy-cache`."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from twinplane.schema import Between, GreaterThan, Length, Plugin, Record, Since, check
from twinplane.schema.shared import Protocols


class Memory(Record):
    """Kept in memory of the node."""

    dictionary_name: Annotated[str, "Name of the memory zone; a node has one for all."] = "kong_db_cache"


class ResponseHeaders(Record):
    """Headers of the answer."""

    age: Annotated[bool | None, "Tell how old an answer is."] = True
    x_cache_status: Annotated[bool | None, "Tell whether the answer was kept."] = Field(True, alias="X-Cache-Status")
    x_cache_key: Annotated[bool | None, "Tell the key of the answer."] = Field(True, alias="X-Cache-Key")


class Config(Record):
    """The configuration."""

    response_code: Annotated[list[Annotated[int, Between(100, 900)]], Length(minimum=1), "Statuses that are kept."] = [
        200,
        301,
        404,
    ]
    request_method: Annotated[
        list[Literal["HEAD", "GET", "POST", "PATCH", "PUT"]], "Methods whose answers are kept."
    ] = ["GET", "HEAD"]
    content_type: Annotated[list[str], "Content types that are kept, parameters included."] = [
        "text/plain",
        "application/json",
    ]
    cache_ttl: Annotated[int | None, GreaterThan(0), "How long an answer is kept, in seconds."] = 300
    strategy: Annotated[Literal["memory"], "Where answers are kept."]
    cache_control: Annotated[bool, "Follow the caching headers of both sides."] = False
    ignore_uri_case: Annotated[bool | None, Since("3.3"), "Treat paths that differ in case alone as one."] = False
    storage_ttl: Annotated[int | None, "How long an answer stays in the store, in seconds."] = None
    memory: Annotated[Memory, "Kept in memory of the node."]
    vary_query_params: Annotated[list[str] | None, "Arguments of the query that tell answers apart."] = None
    vary_headers: Annotated[list[str] | None, "Headers that tell answers apart."] = None
    response_headers: Annotated[ResponseHeaders, Since("3.4"), "Headers about the cache in answers."]


def _strategy_fits(_row: Mapping[Any, Any]) -> None:
    """The one strategy there is needs no more than its defaults."""


class ProxyCache(
    Plugin,
    name="proxy-cache",
    version="3.9.3",
    priority=100,
    phases=("init_worker", "access", "header_filter", "body_filter"),
):
    """Keeps answers and gives them again."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]
    checks: ClassVar = (check(_strategy_fits, "config"),)


PLUGIN = ProxyCache
