"""The configuration of `aws-lambda`."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from twinplane.schema import (
    Between,
    Encrypted,
    Plugin,
    Record,
    Referenceable,
    Since,
    check,
    mutually_required,
    value_at,
)
from twinplane.schema.shared import Host, HttpProtocols, Url


class Config(Record):
    """The configuration."""

    timeout: Annotated[float, "How long a connection, a send or a read may take, in milliseconds."] = 60000
    keepalive: Annotated[float, "How long an idle connection is kept, in milliseconds."] = 60000
    aws_key: Annotated[str | None, Referenceable(), Encrypted(), "Access key at the provider."] = None
    aws_secret: Annotated[str | None, Referenceable(), Encrypted(), "Secret of that key."] = None
    aws_assume_role_arn: Annotated[str | None, Referenceable(), Encrypted(), "Role that is taken on."] = None
    aws_role_session_name: Annotated[str | None, "Name of the session in that role."] = "kong"
    aws_sts_endpoint_url: Annotated[Url | None, Since("3.8"), "Address that hands out roles."] = None
    aws_region: Annotated[Host | None, "Region of the provider."] = None
    function_name: Annotated[str | None, "The function."] = None
    qualifier: Annotated[str | None, "Version or alias of the function."] = None
    invocation_type: Annotated[Literal["RequestResponse", "Event", "DryRun"], "Whether the answer is waited for."] = (
        "RequestResponse"
    )
    log_type: Annotated[Literal["Tail", "None"], "Whether the end of the log is asked for."] = "Tail"
    host: Annotated[Host | None, "Host that is spoken to."] = None
    port: Annotated[int | None, Between(0, 65535), "Port that is spoken to."] = 443
    disable_https: Annotated[bool | None, Since("3.3"), "Speak clear text."] = False
    unhandled_status: Annotated[int | None, Between(100, 999), "Status of the answer when the function failed."] = None
    forward_request_method: Annotated[bool | None, "Send the method along."] = False
    forward_request_uri: Annotated[bool | None, "Send the path and query along."] = False
    forward_request_headers: Annotated[bool | None, "Send the headers along."] = False
    forward_request_body: Annotated[bool | None, "Send the body along."] = False
    is_proxy_integration: Annotated[bool | None, "Take status, headers and body from the function's answer."] = False
    awsgateway_compatible: Annotated[bool | None, "Send the event in the form of the provider's gateway."] = False
    proxy_url: Annotated[Url | None, "Forward proxy on the way to the provider."] = None
    skip_large_bodies: Annotated[bool | None, "Leave out bodies that were buffered on disk."] = True
    base64_encode_body: Annotated[bool | None, "Encode the body as base64."] = True
    aws_imds_protocol_version: Annotated[Literal["v1", "v2"], Since("3.2"), "Version of the metadata protocol."] = "v1"
    empty_arrays_mode: Annotated[Literal["legacy", "correct"], Since("3.8"), "How empty arrays are sent."] = "legacy"


def _proxy_speaks_http(row: Mapping[Any, Any]) -> str | None:
    """Connections go through a forward proxy in clear text only."""
    url = value_at(row, "config.proxy_url", None)
    if not isinstance(url, str) or "://" not in url or url.startswith("http://"):
        return None
    return "proxy_url scheme must be http"


class AwsLambda(
    Plugin,
    name="aws-lambda",
    version="3.9.3",
    priority=750,
    phases=("access", "header_filter"),
):
    """Calls a function of AWS in place of an upstream."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]
    checks: ClassVar = (
        mutually_required("config.aws_key", "config.aws_secret"),
        check(_proxy_speaks_http, "config.proxy_url"),
    )


PLUGIN = AwsLambda
