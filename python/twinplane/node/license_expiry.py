"""What the licences of a configuration mean for a node, by date and setting. Pure: opens nothing, reads no clock.

None is needed: where there is none, or none that names a date, nothing follows.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

Policy = Literal["warn", "restart", "enforce"]
WARNING_DAYS = (10, 30, 90)
_DAY_S = 86_400.0
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_FOLLOWS = {
    "warn": "traffic goes on",
    "restart": "traffic goes on, but this node does not start again",
    "enforce": "every request is answered with 503",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a licence stands at a moment. `days` is the smallest warning that it is within, 0 when it has expired."""

    expires_at: float
    days: int | None

    @property
    def is_expired(self) -> bool:
        """Whether its last day is over."""
        return self.days == 0

    @property
    def date(self) -> str:
        """Its last day."""
        last = datetime.datetime.fromtimestamp(self.expires_at, datetime.UTC) - datetime.timedelta(days=1)
        return last.strftime("%Y-%m-%d")

    def text(self, policy: Policy) -> str | None:
        """What there is to say of it, None long before the end."""
        if self.days is None:
            return None
        if self.is_expired:
            return f"the license expired on {self.date}: {_FOLLOWS[policy]}"
        return f"the license expires on {self.date}, in less than {self.days} days; then {_FOLLOWS[policy]}"


def read_expiry(texts: Sequence[str]) -> float | None:
    """When the last of several licences ends, at the end of its last day in UTC; None where none names a date."""
    ends = [end for text in texts if (end := _end_of(text)) is not None]
    return max(ends, default=None)


def judge(expires_at: float, now: float) -> Standing:
    """How a licence stands."""
    left_s = expires_at - now
    if left_s <= 0:
        return Standing(expires_at, 0)
    return Standing(expires_at, next((days for days in WARNING_DAYS if left_s < days * _DAY_S), None))


def _end_of(text: str) -> float | None:
    try:
        date = orjson.loads(text)["license"]["payload"]["license_expiration_date"]
        if not isinstance(date, str) or not _DATE.match(date):
            return None
        last = datetime.datetime.strptime(date[:10], "%Y-%m-%d").replace(tzinfo=datetime.UTC)
        return last.timestamp() + _DAY_S
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
        return None
