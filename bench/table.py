"""Cases that are asked in turns, so that a drift of the machine meets all, and the one table that they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.effort import Effort
from bench.load import Load, Measured, drive, median, refusal
from bench.processes import Proxy

HEAD = ("asked", "of", "CPU us a request", "x {base}", "requests/s", "p99 ms", "failed")
NOT_INSTALLED = "not installed"


@dataclass(slots=True)
class Case:
    """One row: what is asked of whom. Without a proxy the row says why there is none."""

    asked: str
    name: str
    proxy: Proxy | None
    load: Load = field(default_factory=Load)
    kib_each: float | None = None
    why_not: str = NOT_INSTALLED
    runs: list[Measured] = field(default_factory=list)


def side_by_side(cases: Sequence[Case], effort: Effort, *, base: str = "nginx", each: str = "") -> list[str]:
    """Ask all cases in turns and render their rows. With `each` there is a column of memory for each of that."""
    for case in cases:
        if case.proxy is not None and (why_not := refusal(case.proxy, case.load)):
            case.proxy, case.why_not = None, why_not
    for turn in range(effort.rounds):
        for case in cases:
            if case.proxy is not None:
                case.runs.append(drive(case.proxy, case.load, effort.seconds, warms=turn == 0))
    return rendered(cases, base, each)


def rendered(cases: Sequence[Case], base: str, each: str = "") -> list[str]:
    """The rows of a Markdown table. The CPU of each is related to the case of the same `asked` whose name is `base`,
    or, where there is none, to the first case of all that has the name."""
    measured = {(case.asked, case.name): median(case.runs).cpu_us for case in cases if case.runs}
    first = next((cpu for (_, name), cpu in measured.items() if name == base), None)
    head = [*HEAD, *([f"KiB a {each}"] if each else [])]
    rows = [f"| {' | '.join(head).format(base=base)} |", "|" + "---|" * len(head)]
    for case in cases:
        cells = [case.asked, case.name, case.why_not, *[""] * (len(HEAD) - 3)]
        if case.runs:
            middle = median(case.runs)
            beside = measured.get((case.asked, base), first)
            ratio = f"{middle.cpu_us / beside:.2f}" if beside else ""
            cells[2:] = [
                f"{middle.cpu_us:.1f}",
                ratio,
                f"{middle.rate:.0f}",
                f"{middle.p99_ms:.1f}",
                f"{middle.failed}",
            ]
        if each:
            cells.append("" if case.kib_each is None else f"{case.kib_each:.2f}")
        rows.append(f"| {' | '.join(cells)} |")
    return rows
