"""The configuration of `zipkin`."""

from typing import Annotated, Literal

from twinplane.schema import Between, Defaulted, Deprecated, Plugin, Record, not_in
from twinplane.schema.shared import Protocols


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
        "Its name.",
    ]
    value: Annotated[str, "The value."]


class Queue(Record):
    """How entries wait and are sent."""

    max_batch_size: Annotated[int | None, Between(1, 1000000), "Entries sent at once."] = 1
    max_coalescing_delay: Annotated[float | None, Between(0, 3600), "How long entries wait for others, in seconds."] = 1
    max_entries: Annotated[int | None, Between(1, 1000000), "Entries that may wait; the oldest go first."] = 10000
    max_bytes: Annotated[int | None, "Bytes that may wait."] = None
    max_retry_time: Annotated[float | None, "How long a batch is tried again, in seconds; -1 for ever."] = 60
    initial_retry_delay: Annotated[
        float | None, Between(0.001, 1000000), "Pause before the second try, in seconds; it doubles."
    ] = 0.01
    max_retry_delay: Annotated[float | None, Between(0.001, 1000000), "Longest pause between tries, in seconds."] = 60
    concurrency_limit: Annotated[Literal[-1, 1] | None, "Batches under way at once: 1, or -1 for no limit."] = 1


class Propagation(Record):
    """How a trace goes from one service to the next."""

    extract: Annotated[
        list[Literal["ot", "w3c", "datadog", "b3", "gcp", "jaeger", "aws"]] | None,
        "Forms of headers that a trace is read from, in order.",
    ] = None
    clear: Annotated[list[str] | None, "Headers taken out after reading."] = None
    inject: Annotated[
        list[Literal["preserve", "ot", "w3c", "datadog", "b3", "gcp", "b3-single", "jaeger", "aws"]] | None,
        "Forms of headers that a trace is written in.",
    ] = None
    default_format: Annotated[
        Literal["ot", "w3c", "datadog", "b3", "gcp", "b3-single", "jaeger", "aws"],
        "Form that is written where none was read.",
    ]


class Config(Record):
    """The configuration."""

    local_service_name: Annotated[str, "Name of the gateway in traces."] = "kong"
    http_endpoint: Annotated[str | None, "Where entries are sent, as a URL."] = None
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
    static_tags: Annotated[list[StaticTags] | None, "Tags of every trace."] = None
    http_span_name: Annotated[Literal["method", "method_path"], "What spans are named by."] = "method"
    connect_timeout: Annotated[int | None, Between(0, 2147483646), "How long connecting may take, in milliseconds."] = (
        2000
    )
    send_timeout: Annotated[int | None, Between(0, 2147483646), "How long sending may take, in milliseconds."] = 5000
    read_timeout: Annotated[int | None, Between(0, 2147483646), "How long reading may take, in milliseconds."] = 5000
    http_response_header_for_traceid: Annotated[str | None, "Header of the answer that carries the trace id."] = None
    phase_duration_flavor: Annotated[Literal["annotations", "tags"], "How the time of phases is told."] = "annotations"
    queue: Annotated[Queue, "How entries wait and are sent."]
    propagation: Annotated[
        Propagation, Defaulted({"default_format": "b3"}), "How a trace goes from one service to the next."
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
