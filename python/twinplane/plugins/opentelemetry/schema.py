"""The configuration of `opentelemetry`."""

from typing import Annotated, Any, ClassVar, Literal

from twinplane.schema import (
    Between,
    Defaulted,
    Deprecated,
    Plugin,
    Record,
    Referenceable,
    Required,
    Shorthand,
    Since,
    at_least_one_of,
)
from twinplane.schema.parts.propagation import Propagation
from twinplane.schema.parts.queue import Queue
from twinplane.schema.shared import HeaderName, HttpProtocols, Url


def _endpoint_of_traces(endpoint: Any, body: dict[str, Any]) -> None:
    body["traces_endpoint"] = endpoint


class Config(Record):
    """The configuration."""

    traces_endpoint: Annotated[Url | None, Referenceable(), Since("3.8"), "Where traces are sent, as a URL."] = None
    logs_endpoint: Annotated[Url | None, Referenceable(), Since("3.8"), "Where logs are sent, as a URL."] = None
    headers: Annotated[dict[HeaderName, Annotated[str, Referenceable()]] | None, "Headers they are sent with."] = None
    resource_attributes: Annotated[
        dict[Annotated[str, Required()], Annotated[str, Required()]] | None, "Attributes of everything that is sent."
    ] = None
    queue: Annotated[Queue, Defaulted({"max_batch_size": 200}), "How entries wait and are sent."]
    batch_span_count: Annotated[
        int | None,
        Deprecated(
            "opentelemetry: config.batch_span_count is deprecated, please use config.queue.max_batch_size instead",
            old_default=200,
        ),
        "Spans sent at once, under the old name.",
    ] = None
    batch_flush_delay: Annotated[
        int | None,
        Deprecated(
            "opentelemetry: config.batch_flush_delay is deprecated, "
            "please use config.queue.max_coalescing_delay instead",
            old_default=3,
        ),
        "How long spans wait, in seconds, under the old name.",
    ] = None
    connect_timeout: Annotated[int | None, Between(0, 2147483646), "How long connecting may take, in milliseconds."] = (
        1000
    )
    send_timeout: Annotated[int | None, Between(0, 2147483646), "How long sending may take, in milliseconds."] = 5000
    read_timeout: Annotated[int | None, Between(0, 2147483646), "How long reading may take, in milliseconds."] = 5000
    http_response_header_for_traceid: Annotated[
        str | None, Since("3.3"), "Header of the answer that carries the trace id."
    ] = None
    header_type: Annotated[
        Literal["preserve", "ignore", "b3", "b3-single", "w3c", "jaeger", "ot", "aws", "gcp", "datadog"] | None,
        Deprecated(
            "opentelemetry: config.header_type is deprecated, please use config.propagation options instead",
            old_default="preserve",
        ),
        Since("3.3"),
        "Form of the tracing headers.",
    ] = "preserve"
    sampling_rate: Annotated[float | None, Between(0, 1), Since("3.6"), "Share of requests that are traced."] = None
    propagation: Annotated[
        Propagation,
        Defaulted({"default_format": "w3c"}),
        Since("3.7"),
        "How a trace goes from one service to the next.",
    ]

    shorthands: ClassVar = (
        Shorthand(
            "endpoint",
            Annotated[Url, Referenceable()],
            expand=_endpoint_of_traces,
            deprecated=Deprecated(
                "OpenTelemetry: config.endpoint is deprecated, please use config.traces_endpoint instead"
            ),
        ),
    )
    checks: ClassVar = (at_least_one_of("traces_endpoint", "logs_endpoint"),)


class Opentelemetry(
    Plugin,
    name="opentelemetry",
    version="3.9.3",
    priority=14,
    phases=("configure", "access", "header_filter", "log"),
    observes_only=True,
):
    """Reports traces and logs in the form of OpenTelemetry."""

    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = Opentelemetry
