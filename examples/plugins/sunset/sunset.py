"""The plugin `sunset`: takes an API out of service on a day that its callers are told of."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated, Any

from twinplane.pdk import Answer, Config, Context, Plugin, Request, Response
from twinplane.schema import Between, Match

log = logging.getLogger("plugin.sunset")
DAY_S = 86_400
TOLD_EVERY = 1000


class SunsetConfig(Config):
    """When, and what comes instead."""

    date: Annotated[str, Match("^%d%d%d%d%-%d%d%-%d%d$"), "First day on which the API is gone, as 2031-05-01 (UTC)."]
    link: Annotated[str | None, "Page that tells what to use instead."] = None
    warn_days: Annotated[int, Between(0, 3650), "How many days before that callers are told."] = 180


class Sunset(Plugin[SunsetConfig]):
    """Tells callers when an API goes out of service, and refuses them from that day on."""

    name = "sunset"
    version = "1.0.0"
    priority = 1100
    config_class = SunsetConfig

    def __init__(self) -> None:
        """Nobody has called yet."""
        self.callers: Counter[str] = Counter()

    def prepare(self, config: SunsetConfig) -> None:
        """Refuse a day that is none."""
        _begins(config)

    def access(self, request: Request, ctx: Context, config: SunsetConfig) -> Answer | None:
        """Gone is gone."""
        if time.time() < _begins(config):
            return None
        body = {"message": f"This API went out of service on {config.date}"}
        return ctx.exit(410, body, _headers(config))

    def header_filter(self, response: Response, ctx: Context, config: SunsetConfig) -> None:
        """Tell who still calls."""
        left_s = _begins(config) - time.time()
        if 0 < left_s <= config.warn_days * DAY_S:
            for name, value in _headers(config):
                response.headers[name] = value

    def log(self, entry: Mapping[str, Any], config: SunsetConfig) -> None:
        """Count who still calls, and say so now and then."""
        caller = entry.get("consumer", {}).get("username") or entry["client_ip"]
        self.callers[caller] += 1
        if self.callers[caller] % TOLD_EVERY == 1:
            log.warning("sunset_api_called caller=%s calls=%d", caller, self.callers[caller])


def _begins(config: SunsetConfig) -> float:
    return datetime.fromisoformat(config.date).replace(tzinfo=UTC).timestamp()


def _headers(config: SunsetConfig) -> list[tuple[str, str]]:
    day = datetime.fromtimestamp(_begins(config), UTC)
    headers = [("Sunset", format_datetime(day, usegmt=True))]
    if config.link:
        headers.append(("Link", f'<{config.link}>; rel="sunset"'))
    return headers
