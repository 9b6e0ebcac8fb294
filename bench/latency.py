"""How long do requests take, at 30 and at 70 % of what a node serves at most?"""

from __future__ import annotations

from pathlib import Path

from bench import configurations, processes
from bench.effort import Effort
from bench.load import Load, drive, paced
from bench.peers import peers
from bench.upstream import upstream

SHARES = (30, 70)


def run(directory: Path, effort: Effort) -> list[str]:
    """1 KiB over HTTP/1.1, at even times. Every proxy is asked as often as the node, whose own peak is taken first."""
    rows = ["| % of the peak | of | requests/s | p50 ms | p99 ms | p99.9 ms | p99 x nginx |", "|" + "---|" * 7]
    with (
        upstream(directory) as up,
        peers(directory, up) as others,
        processes.node(directory, configurations.plain(up.http)) as ours,
    ):
        peak = drive(ours, Load(), effort.seconds).rate
        for share in SHARES:
            taken: dict[str, list[list[int]]] = {}
            for _ in range(effort.rounds):
                for name, proxy in [*others.items(), ("twinplane", ours)]:
                    if proxy is not None:
                        taken.setdefault(name, []).append(paced(proxy, Load(), peak * share / 100, effort.seconds))
            rows += rendered(share, effort.seconds, {name: _middle(runs) for name, runs in taken.items()})
    return rows


def _middle(runs: list[list[int]]) -> list[int]:
    """The run whose p99 lies in the middle."""
    return sorted(runs, key=lambda run: _percentile_ms(run, 99))[len(runs) // 2]


def rendered(share: int, seconds: int, taken: dict[str, list[int]]) -> list[str]:
    """A row for each proxy; the p99 of each is related to nginx's."""
    beside = _percentile_ms(taken.get("nginx", []), 99)
    rows = []
    for name, run in taken.items():
        p50, p99, p999 = (_percentile_ms(run, share) for share in (50, 99, 99.9))
        ratio = f"{p99 / beside:.2f}" if beside else ""
        rows.append(f"| {share} | {name} | {len(run) / seconds:.0f} | {p50:.2f} | {p99:.2f} | {p999:.2f} | {ratio} |")
    return rows


def _percentile_ms(run: list[int], percent: float) -> float:
    """The time within which so many of all were answered, in milliseconds; 0 without any."""
    return run[min(len(run) - 1, int(len(run) * percent / 100))] / 1000 if run else 0.0
