"""The templates: HTML beside the Python that fills it, everything escaped, a missing value a fault."""

from __future__ import annotations

import datetime

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from twinplane import __version__
from twinplane.web.console.assets import ROOT, Assets

_SAME_DAY = datetime.timedelta(hours=20)


def make_templates(assets: Assets) -> Environment:
    """All templates of the console, with the filters that they use."""
    environment = Environment(
        loader=FileSystemLoader(ROOT),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(asset=assets.url, version=__version__)
    environment.filters.update(moment=moment, clock=clock, marked=marked, count=count, size=size)
    return environment


def moment(at: float | None) -> Markup:
    """A time as an element that scripts turn into words; readable without them."""
    if not at:
        return Markup('<span class="soft">never</span>')
    when = datetime.datetime.fromtimestamp(at, datetime.UTC)
    text = when.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(when.isoformat(), text, text)


def clock(at: float) -> Markup:
    """A time of the day, with the date where it is over 20 hours away; scripts turn it into the reader's own time."""
    when = datetime.datetime.fromtimestamp(at, datetime.UTC)
    is_far = abs(datetime.datetime.now(datetime.UTC) - when) > _SAME_DAY
    text, full = when.strftime("%d %b %H:%M:%S" if is_far else "%H:%M:%S"), when.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time class="clock" datetime="{}" title="{}">{}</time>').format(when.isoformat(), full, text)


def marked(text: str) -> Markup:
    """Text in which `marks` stand around what is typed, as code; everything is escaped."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(one) if at % 2 else escape(one) for at, one in enumerate(parts)
    )


def count(number: float) -> str:
    """A number for reading: 12,345; 1.2 M."""
    if number >= 10_000_000:
        return f"{number / 1_000_000:.1f} M"
    return f"{number:,.0f}"


def size(number: float) -> str:
    """Bytes for reading."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError
