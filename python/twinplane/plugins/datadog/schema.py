"""The configuration of `datadog`."""

from typing import Annotated, ClassVar, Literal

from twinplane.schema import (
    Between,
    Defaulted,
    Deprecated,
    Match,
    Plugin,
    Record,
    Referenceable,
    Required,
    one_of,
    when,
)
from twinplane.schema.parts.queue import Queue
from twinplane.schema.shared import Host, Protocols


class Metrics(Record):
    """What is reported."""

    name: Annotated[
        Literal["kong_latency", "latency", "request_count", "request_size", "response_size", "upstream_latency"],
        "Name of the metric.",
    ]
    stat_type: Annotated[
        Literal["counter", "gauge", "histogram", "meter", "set", "timer", "distribution"], "Kind of the measure."
    ]
    tags: Annotated[list[Annotated[str, Match("^.*[^:]$")]] | None, "Tags of each entry."] = None
    sample_rate: Annotated[float | None, Between(0, 1), "Share of requests that are reported."] = None
    consumer_identifier: Annotated[
        Literal["consumer_id", "custom_id", "username"] | None, "What a consumer is named by."
    ] = None

    checks: ClassVar = (when("stat_type", one_of("counter", "gauge")).then("sample_rate", Required()),)


class Config(Record):
    """The configuration."""

    host: Annotated[Host | None, Referenceable(), "Host that is spoken to."] = "localhost"
    port: Annotated[int | None, Between(0, 65535), "Port that is spoken to."] = 8125
    prefix: Annotated[str | None, "Prefix of every name."] = "kong"
    service_name_tag: Annotated[str | None, "Tag that names the service."] = "name"
    status_tag: Annotated[str | None, "Tag that names the status."] = "status"
    consumer_tag: Annotated[str | None, "Tag that names the consumer."] = "consumer"
    retry_count: Annotated[
        int | None,
        Deprecated(
            "datadog: config.retry_count no longer works, please use config.queue.max_retry_time instead",
            old_default=10,
        ),
        "Tries of a batch, in the old way of counting.",
    ] = None
    queue_size: Annotated[
        int | None,
        Deprecated(
            "datadog: config.queue_size is deprecated, please use config.queue.max_batch_size instead", old_default=1
        ),
        "Entries sent at once, under the old name.",
    ] = None
    flush_timeout: Annotated[
        float | None,
        Deprecated(
            "datadog: config.flush_timeout is deprecated, please use config.queue.max_coalescing_delay instead",
            old_default=2,
        ),
        "How long entries wait, in seconds, under the old name.",
    ] = None
    queue: Annotated[Queue, "How entries wait and are sent."]
    metrics: Annotated[
        list[Metrics],
        Defaulted(
            [
                {
                    "consumer_identifier": "custom_id",
                    "name": "request_count",
                    "sample_rate": 1,
                    "stat_type": "counter",
                    "tags": ["app:kong"],
                },
                {"consumer_identifier": "custom_id", "name": "latency", "stat_type": "timer", "tags": ["app:kong"]},
                {
                    "consumer_identifier": "custom_id",
                    "name": "request_size",
                    "stat_type": "timer",
                    "tags": ["app:kong"],
                },
                {
                    "consumer_identifier": "custom_id",
                    "name": "response_size",
                    "stat_type": "timer",
                    "tags": ["app:kong"],
                },
                {
                    "consumer_identifier": "custom_id",
                    "name": "upstream_latency",
                    "stat_type": "timer",
                    "tags": ["app:kong"],
                },
                {
                    "consumer_identifier": "custom_id",
                    "name": "kong_latency",
                    "stat_type": "timer",
                    "tags": ["app:kong"],
                },
            ]
        ),
        "What is reported.",
    ]


class Datadog(
    Plugin,
    name="datadog",
    version="3.9.3",
    priority=10,
    phases=("log",),
    observes_only=True,
):
    """Sends counts and times of requests to Datadog."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = Datadog
