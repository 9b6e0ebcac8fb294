"""Types that many entities and plugins share, each with its tests and its description."""

from typing import Annotated, Literal, TypeVar

from twinplane.schema.facts import Automatic, References, Required, Unique, Unordered
from twinplane.schema.hosts import (
    bad_host,
    bad_host_with_optional_port,
    bad_ip,
    bad_ip_or_cidr,
    bad_sni,
    bad_wildcard_host,
)
from twinplane.schema.paths import bad_path
from twinplane.schema.record import Reference
from twinplane.schema.rules import Between, Check, Equals, MatchNone, StartsWith, Timestamp, Uuid
from twinplane.schema.texts import bad_cookie_name, bad_header_name, bad_name, bad_tag, bad_url, bad_utf8

T = TypeVar("T")

SetOf = Annotated[list[T], Unordered()]

Id = Annotated[str, Uuid()]
AutoId = Annotated[str | None, Automatic(), Uuid(), "UUID of the row; made up when absent."]
Moment = Annotated[int | None, Automatic(), Timestamp()]
CreatedAt = Annotated[Moment, "When the row was created, in seconds since 1970."]
UpdatedAt = Annotated[Moment, "When the row last changed, in seconds since 1970."]
MomentMs = Annotated[float | None, Automatic(), Timestamp()]
Tag = Annotated[str, Required(), Check(bad_tag)]
Tags = Annotated[SetOf[Tag] | None, "Labels to find and group rows by."]
Name = Annotated[str, Check(bad_name)]
UniqueName = Annotated[Name | None, Unique(), "Name of its own; usable in place of the id."]
Text = Annotated[str, Check(bad_utf8)]

Port = Annotated[int, Between(0, 65535)]
Timeout = Annotated[int, Between(0, 2147483646)]
Host = Annotated[str, Check(bad_host)]
HostWithOptionalPort = Annotated[str, Check(bad_host_with_optional_port)]
WildcardHost = Annotated[str, Check(bad_wildcard_host)]
Sni = Annotated[str, Check(bad_sni)]
Ip = Annotated[str, Check(bad_ip)]
IpOrCidr = Annotated[str, Check(bad_ip_or_cidr)]
Path = Annotated[str, StartsWith("/"), MatchNone("//", "must not have empty segments"), Check(bad_path)]
HeaderName = Annotated[str, Check(bad_header_name)]
CookieName = Annotated[str, Check(bad_cookie_name)]
Url = Annotated[str, Check(bad_url)]

Protocol = Literal["grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp"]
HttpProtocol = Literal["grpc", "grpcs", "http", "https"]
Protocols = Annotated[SetOf[Protocol], "Protocols on which the plugin acts."]
HttpProtocols = Annotated[SetOf[HttpProtocol], "Protocols on which the plugin acts."]

ToConsumer = Annotated[Reference, References("consumers", on_delete="cascade")]
NoConsumer = Annotated[Reference | None, References("consumers"), Equals(None), "Cannot be attached to a consumer."]
NoService = Annotated[Reference | None, References("services"), Equals(None), "Cannot be attached to a service."]
NoRoute = Annotated[Reference | None, References("routes"), Equals(None), "Cannot be attached to a route."]
