"""How the links of a control plane fare, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from twinplane.hybrid.server import LinkServerFacts


def exposition(facts: LinkServerFacts) -> str:
    """Every figure. May be called from any thread."""
    return "".join(_lines(facts))


def _lines(facts: LinkServerFacts) -> Iterator[str]:
    pushes = facts.pushes
    yield from _one("connections", "gauge", "Open links of nodes", {"": facts.connections})
    yield from _one("published_total", "counter", "Configurations made ready for nodes", {"": facts.published_total})
    sent = {'{form="delta"}': pushes.deltas_total, '{form="whole"}': pushes.wholes_total}
    yield from _one("pushes_total", "counter", "Configurations sent to nodes", sent)
    size = {'{form="delta"}': pushes.delta_bytes_total, '{form="whole"}': pushes.whole_bytes_total}
    yield from _one("pushed_bytes_total", "counter", "Bytes of them", size)
    yield from _one("resyncs_total", "counter", "Deltas that a node could not use", {"": pushes.resyncs_total})
    # Reasons are words of ours: they need no escaping. The copy is taken at once, others may count meanwhile.
    refused = {f'{{reason="{reason}"}}': count for reason, count in sorted(dict(facts.refused).items())}
    yield from _one("refused_total", "counter", "What peers sent that was refused, by reason", refused)


def _one(name: str, kind: str, meaning: str, values: Mapping[str, int]) -> Iterator[str]:
    full = f"twinplane_link_{name}"
    yield f"# HELP {full} {meaning}\n# TYPE {full} {kind}\n"
    for labels, value in values.items():
        yield f"{full}{labels} {value}\n"
