"""The configuration of `zipkin`."""

from typing import Annotated, Any, Literal

from twinplane.schema import Between, Check, Defaulted, Deprecated, Plugin, Record, Since, not_in
from twinplane.schema.parts.propagation import Propagation
from twinplane.schema.parts.queue import Queue
from twinplane.schema.shared import Protocols, Url


class StaticTags(Record):
    """Tags of every trace."""

    name: Annotated[
        str,
        not_in(
            "error",
            "http.method",
            "http.path",
            "http.status_code",
            "kong.balancer.state",
            "kong.balancer.try",
            "kong.consumer",
            "kong.credential",
            "kong.node.id",
            "kong.route",
            "kong.service",
            "lc",
            "peer.hostname",
        ),
        "Name of the tag.",
    ]
    value: Annotated[str, "Value of the tag."]


def _repeated_tag(tags: list[dict[str, Any]]) -> str | None:
    """Tags have names of their own."""
    names = [tag["name"] for tag in tags]
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    return None if twice is None else f"repeated tags are not allowed: {twice}"


class Config(Record):
    """The configuration."""

    local_service_name: Annotated[str, "Name of the gateway in traces."] = "kong"
    http_endpoint: Annotated[Url | None, "Where entries are sent, as a URL."] = None
    sample_ratio: Annotated[float | None, Between(0, 1), "Share of requests that are traced."] = 0.001
    default_service_name: Annotated[str | None, "Name of upstreams that have none."] = None
    include_credential: Annotated[bool, "Tell the credential."] = True
    traceid_byte_count: Annotated[Literal[8, 16], "Bytes of a trace id."] = 16
    header_type: Annotated[
        Literal["preserve", "ignore", "b3", "b3-single", "w3c", "jaeger", "ot", "aws", "datadog", "gcp"],
        Deprecated(
            "zipkin: config.header_type is deprecated, please use config.propagation options instead",
            old_default="preserve",
        ),
        "Form of the tracing headers.",
    ] = "preserve"
    default_header_type: Annotated[
        Literal["b3", "b3-single", "w3c", "jaeger", "ot", "aws", "datadog", "gcp"],
        Deprecated(
            "zipkin: config.default_header_type is deprecated, please use config.propagation.default_format instead",
            old_default="b3",
        ),
        "Form of tracing headers where none came.",
    ] = "b3"
    tags_header: Annotated[str, "Header that carries tags."] = "Zipkin-Tags"
    static_tags: Annotated[list[StaticTags] | None, Check(_repeated_tag), "Tags of every trace."] = None
    http_span_name: Annotated[Literal["method", "method_path"], "What spans are named by."] = "method"
    connect_timeout: Annotated[int | None, Between(0, 2147483646), "How long connecting may take, in milliseconds."] = (
        2000
    )
    send_timeout: Annotated[int | None, Between(0, 2147483646), "How long sending may take, in milliseconds."] = 5000
    read_timeout: Annotated[int | None, Between(0, 2147483646), "How long reading may take, in milliseconds."] = 5000
    http_response_header_for_traceid: Annotated[
        str | None, Since("3.1"), "Header of the answer that carries the trace id."
    ] = None
    phase_duration_flavor: Annotated[
        Literal["annotations", "tags"], Since("3.2"), "How the time of phases is told."
    ] = "annotations"
    queue: Annotated[Queue, "How entries wait and are sent."]
    propagation: Annotated[
        Propagation, Defaulted({"default_format": "b3"}), Since("3.7"), "How a trace goes from one service to the next."
    ]


class Zipkin(
    Plugin,
    name="zipkin",
    version="3.9.3",
    priority=100000,
    phases=("rewrite", "access", "header_filter", "body_filter", "log", "preread"),
    observes_only=True,
):
    """Reports traces in the form of Zipkin."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = Zipkin
