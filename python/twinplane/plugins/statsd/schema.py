"""The configuration of `statsd`."""

from typing import Annotated, ClassVar, Literal

from twinplane.schema import (
    Between,
    Defaulted,
    Deprecated,
    GreaterThan,
    Match,
    Plugin,
    Record,
    Required,
    Since,
    one_of,
    when,
)
from twinplane.schema.parts.queue import Queue
from twinplane.schema.shared import Protocols


class Metrics(Record):
    """What is reported."""

    name: Annotated[
        Literal[
            "kong_latency",
            "latency",
            "request_count",
            "request_per_user",
            "request_size",
            "response_size",
            "status_count",
            "status_count_per_user",
            "unique_users",
            "upstream_latency",
            "status_count_per_workspace",
            "status_count_per_user_per_route",
            "shdict_usage",
        ],
        "Name of the metric.",
    ]
    stat_type: Annotated[Literal["counter", "gauge", "histogram", "meter", "set", "timer"], "Kind of the measure."]
    sample_rate: Annotated[float | None, GreaterThan(0), "Share of requests that are reported."] = None
    consumer_identifier: Annotated[
        Literal["consumer_id", "custom_id", "username"] | None, "What a consumer is named by."
    ] = None
    service_identifier: Annotated[
        Literal["service_id", "service_name", "service_host", "service_name_or_host"] | None,
        "What a service is named by.",
    ] = None
    workspace_identifier: Annotated[
        Literal["workspace_id", "workspace_name"] | None, "What a workspace is named by."
    ] = None

    checks: ClassVar = (when("stat_type", one_of("counter", "gauge")).then("sample_rate", Required()),)


class Config(Record):
    """The configuration."""

    host: Annotated[str | None, "Host that is spoken to."] = "localhost"
    port: Annotated[int | None, Between(0, 65535), "Port that is spoken to."] = 8125
    prefix: Annotated[str | None, "Prefix of every name."] = "kong"
    metrics: Annotated[
        list[Metrics] | None,
        Defaulted(
            [
                {"name": "request_count", "sample_rate": 1, "stat_type": "counter"},
                {"name": "latency", "stat_type": "timer"},
                {"name": "request_size", "sample_rate": 1, "stat_type": "counter"},
                {"name": "status_count", "sample_rate": 1, "stat_type": "counter"},
                {"name": "response_size", "sample_rate": 1, "stat_type": "counter"},
                {"name": "unique_users", "stat_type": "set"},
                {"name": "request_per_user", "sample_rate": 1, "stat_type": "counter"},
                {"name": "upstream_latency", "stat_type": "timer"},
                {"name": "kong_latency", "stat_type": "timer"},
                {"name": "status_count_per_user", "sample_rate": 1, "stat_type": "counter"},
                {"name": "status_count_per_workspace", "sample_rate": 1, "stat_type": "counter"},
                {"name": "status_count_per_user_per_route", "sample_rate": 1, "stat_type": "counter"},
                {"name": "shdict_usage", "sample_rate": 1, "stat_type": "gauge"},
            ]
        ),
        "What is reported.",
    ] = None
    allow_status_codes: Annotated[
        list[Annotated[str, Match("^[0-9]+-[0-9]+$")]] | None, "Ranges of statuses that are counted."
    ] = None
    udp_packet_size: Annotated[float | None, Between(0, 65507), "Largest packet, in bytes."] = 0
    use_tcp: Annotated[bool | None, "Speak TCP."] = False
    hostname_in_prefix: Annotated[bool | None, "Put the host's name into the prefix."] = False
    consumer_identifier_default: Annotated[
        Literal["consumer_id", "custom_id", "username"], "What a consumer is named by unless a metric says otherwise."
    ] = "custom_id"
    service_identifier_default: Annotated[
        Literal["service_id", "service_name", "service_host", "service_name_or_host"],
        "What a service is named by unless a metric says otherwise.",
    ] = "service_name_or_host"
    workspace_identifier_default: Annotated[
        Literal["workspace_id", "workspace_name"], "What a workspace is named by unless a metric says otherwise."
    ] = "workspace_id"
    retry_count: Annotated[
        int | None,
        Deprecated(
            "statsd: config.retry_count no longer works, please use config.queue.max_retry_time instead", old_default=10
        ),
        "Tries of a batch, in the old way of counting.",
    ] = None
    queue_size: Annotated[
        int | None,
        Deprecated(
            "statsd: config.queue_size is deprecated, please use config.queue.max_batch_size instead", old_default=1
        ),
        "Entries sent at once, under the old name.",
    ] = None
    flush_timeout: Annotated[
        float | None,
        Deprecated(
            "statsd: config.flush_timeout is deprecated, please use config.queue.max_coalescing_delay instead",
            old_default=2,
        ),
        "How long entries wait, in seconds, under the old name.",
    ] = None
    tag_style: Annotated[
        Literal["dogstatsd", "influxdb", "librato", "signalfx"] | None, Since("3.2"), "Form of tags."
    ] = None
    queue: Annotated[Queue, "How entries wait and are sent."]


class Statsd(
    Plugin,
    name="statsd",
    version="3.9.3",
    priority=11,
    phases=("log",),
    observes_only=True,
):
    """Sends counts and times of requests to StatsD."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = Statsd
