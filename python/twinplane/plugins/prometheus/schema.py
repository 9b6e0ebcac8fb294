"""The configuration of `prometheus`."""

from typing import Annotated

from twinplane.schema import Plugin, Record, Since
from twinplane.schema.shared import Protocols


class Config(Record):
    """The configuration."""

    per_consumer: Annotated[bool | None, "Count for each consumer apart."] = False
    status_code_metrics: Annotated[bool | None, "Count answers by status."] = False
    ai_metrics: Annotated[bool | None, Since("3.8"), "Count uses of models."] = False
    latency_metrics: Annotated[bool | None, "Measure times."] = False
    bandwidth_metrics: Annotated[bool | None, "Count bytes."] = False
    upstream_health_metrics: Annotated[bool | None, "Tell the health of targets."] = False


class Prometheus(
    Plugin,
    name="prometheus",
    version="3.9.3",
    priority=13,
    phases=("init_worker", "configure", "log"),
    observes_only=True,
):
    """Counts and times requests for a scrape."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = Prometheus
