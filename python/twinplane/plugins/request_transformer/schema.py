"""The configuration of `request-transformer`."""

from typing import Annotated

from twinplane.schema import Match, Plugin, Record
from twinplane.schema.shared import Protocols


class Remove(Record):
    """What is taken out."""

    body: Annotated[list[str], "Fields of the body."] = []
    headers: Annotated[list[str], "Headers."] = []
    querystring: Annotated[list[str], "Changes to arguments of the query."] = []


class Rename(Record):
    """What gets another name, as old:new."""

    body: Annotated[list[str], "Fields of the body."] = []
    headers: Annotated[list[Annotated[str, Match("^[^:]+:.*$")]], "Headers."] = []
    querystring: Annotated[list[str], "Changes to arguments of the query."] = []


class Replace(Record):
    """What gets another value where it is there."""

    body: Annotated[list[str], "Fields of the body."] = []
    headers: Annotated[list[Annotated[str, Match("^[^:]+:.*$")]], "Headers."] = []
    querystring: Annotated[list[str], "Changes to arguments of the query."] = []
    uri: Annotated[str | None, "Path that the request is changed to."] = None


class Config(Record):
    """The configuration."""

    http_method: Annotated[str | None, Match("^%u+$"), "Method that the request is changed to."] = None
    remove: Annotated[Remove, "What is taken out."]
    rename: Annotated[Rename, "What gets another name, as old:new."]
    replace: Annotated[Replace, "What gets another value where it is there."]
    add: Annotated[Rename, "What is added where it is not there."]
    append: Annotated[Rename, "Values added beside those that are there."]


class RequestTransformer(
    Plugin,
    name="request-transformer",
    version="3.9.3",
    priority=801,
    phases=("access",),
):
    """Changes requests on their way up."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = RequestTransformer
