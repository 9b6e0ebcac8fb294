"""A chart over time as SVG: drawn by the server, readable without scripts, every value told when pointed at. Pure.

Colours come from classes, so that light and dark are a matter of styles; nothing here is inline style.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

WIDTH, HEIGHT = 560, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 6, 12, 30
_LINES = 4
_TIP = Markup('<rect class="tip" x="{:.1f}" y="{}" width="{:.1f}" height="{}"><title>{}</title></rect>')


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one layer of a stack. A value of None is a gap."""

    name: str
    colour: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """Some series over the same moments (seconds since 1970)."""

    title: str
    kind: Literal["stack", "lines"]
    moments: Sequence[float]
    series: Sequence[Series]
    unit: str
    shown: Callable[[float], str]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see."""
        return not any(value for series in self.series for value in series.values)

    def svg(self) -> Markup:
        """The drawing."""
        top = _round_up_whole(self._highest()) if self.kind == "stack" else _round_up(self._highest())
        parts = [
            Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
                WIDTH, HEIGHT, f"{self.title}, a table below has its values"
            )
        ]
        parts += self._grid(top)
        parts += self._stack(top) if self.kind == "stack" else self._lines(top)
        parts += self._tips()
        return Markup("").join([*parts, Markup("</svg>")])

    def _highest(self) -> float:
        if self.kind == "stack":
            sums = [sum(series.values[place] or 0 for series in self.series) for place in range(len(self.moments))]
            return max(sums, default=0)
        return max((value or 0 for series in self.series for value in series.values), default=0)

    def _grid(self, top: float) -> list[Markup]:
        parts = []
        for line in range(_LINES + 1):
            value = top * line / _LINES
            y = self._y(value, top)
            parts.append(
                Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(_LEFT, WIDTH - _RIGHT, y, y)
            )
            parts.append(
                Markup('<text class="tick end" x="{}" y="{}">{}</text>').format(_LEFT - 6, y + 4, self.shown(value))
            )
        for place in _spread(len(self.moments)):
            x = self._x(place)
            when = datetime.datetime.fromtimestamp(self.moments[place], datetime.UTC)
            span = self.moments[-1] - self.moments[0] if self.moments else 0
            text = when.strftime("%d %b" if span > 172_800 else "%H:%M")
            is_last = x > WIDTH - _LEFT / 2
            form = Markup('<text class="tick {}" x="{}" y="{}">{}</text>')
            parts.append(
                form.format("end" if is_last else "middle", WIDTH - _RIGHT if is_last else x, HEIGHT - 6, text)
            )
        return parts

    def _stack(self, top: float) -> list[Markup]:
        width = self._step() * 0.8
        below = [0.0] * len(self.moments)
        parts = []
        for series in self.series:
            for place, value in enumerate(series.values):
                if value:
                    high, low = self._y(below[place] + value, top), self._y(below[place], top)
                    parts.append(
                        Markup('<rect class="fill {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                            series.colour, self._x(place) - width / 2, high, width, max(low - high, 0.5)
                        )
                    )
                    below[place] += value
        return parts

    def _lines(self, top: float) -> list[Markup]:
        parts = []
        for series in self.series:
            path, is_down = [], False
            for place, value in enumerate(series.values):
                if value is None:
                    is_down = False
                    continue
                path.append(f"{'L' if is_down else 'M'}{self._x(place):.1f} {self._y(value, top):.1f}")
                if not is_down:
                    path.append("h0.1")
                is_down = True
            parts.append(Markup('<path class="line {}" d="{}"/>').format(series.colour, "".join(path)))
        return parts

    def _tips(self) -> list[Markup]:
        parts = []
        for place, moment in enumerate(self.moments):
            told = [f"{one.name}: {self.shown(one.values[place] or 0)}" for one in self.series if one.values[place]]
            if told:
                when = datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
                left, width = self._x(place) - self._step() / 2, self._step()
                parts.append(_TIP.format(left, _TOP, width, HEIGHT - _TOP - _BOTTOM, "\n".join([when, *told])))
        return parts

    def _step(self) -> float:
        return (WIDTH - _LEFT - _RIGHT) / max(len(self.moments), 1)

    def _x(self, place: int) -> float:
        return round(_LEFT + self._step() * (place + 0.5), 1)

    def _y(self, value: float, top: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value / top if top else 0), 1)


def _round_up(value: float) -> float:
    """The next number that is easy to read and to divide by four."""
    if value <= 0:
        return 4
    size = 10 ** (len(str(int(value))) - 1) if value >= 1 else 0.1
    return next(step * size for step in (1, 2, 4, 6, 8, 10, 20) if step * size >= value)


def _round_up_whole(value: float) -> float:
    """The same for what is counted: a quarter of it is whole as well."""
    size = 4
    while size * 5 < value:
        size *= 10
    return next(step * size for step in (1, 2, 5) if step * size >= value)


def _spread(count: int, wanted: int = 5) -> list[int]:
    """A few places, evenly apart."""
    if count <= wanted:
        return list(range(count))
    return [round(place * (count - 1) / (wanted - 1)) for place in range(wanted)]
