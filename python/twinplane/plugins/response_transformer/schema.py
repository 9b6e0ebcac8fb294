"""The configuration of `response-transformer`."""

from typing import Annotated, Literal

from pydantic import Field

from twinplane.schema import Match, Plugin, Record, Since
from twinplane.schema.shared import HttpProtocols


class Remove(Record):
    """What is taken out."""

    json_: Annotated[list[str], "Fields of a JSON body."] = Field([], alias="json")
    headers: Annotated[list[str], "Headers."] = []


class Rename(Record):
    """What gets another name, as old:new."""

    json_: Annotated[list[Annotated[str, Match("^[^:]+:.*$")]], Since("3.8"), "Fields of a JSON body."] = Field(
        [], alias="json"
    )
    headers: Annotated[list[Annotated[str, Match("^[^:]+:.*$")]], "Headers."] = []


class Replace(Record):
    """What gets another value where it is there."""

    json_: Annotated[list[Annotated[str, Match("^[^:]+:.*$")]], "Fields of a JSON body."] = Field([], alias="json")
    json_types: Annotated[
        list[Literal["boolean", "number", "string"]], "Types of the JSON values, in the same order."
    ] = []
    headers: Annotated[list[Annotated[str, Match("^[^:]+:.*$")]], "Headers."] = []


class Config(Record):
    """The configuration."""

    remove: Annotated[Remove, "What is taken out."]
    rename: Annotated[Rename, "What gets another name, as old:new."]
    replace: Annotated[Replace, "What gets another value where it is there."]
    add: Annotated[Replace, "What is added where it is not there."]
    append: Annotated[Replace, "Values added beside those that are there."]


class ResponseTransformer(
    Plugin,
    name="response-transformer",
    version="3.9.3",
    priority=800,
    phases=("header_filter", "body_filter"),
):
    """Changes answers on their way back."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = ResponseTransformer
