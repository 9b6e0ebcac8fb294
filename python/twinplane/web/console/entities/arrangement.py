"""In which order a form asks: what matters first, the rest behind one more step. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twinplane.web.console.entities.inputs import Input

FIRST: Mapping[str, Sequence[str]] = {
    "services": ("name", "url", "protocol", "host", "port", "path", "enabled", "tags"),
    "routes": ("name", "service", "paths", "hosts", "methods", "headers", "protocols", "strip_path", "tags"),
    "consumers": ("username", "custom_id", "tags"),
    "plugins": (
        "service", "route", "consumer", "consumer_group", "config", "enabled", "instance_name", "tags",
    ),
    "upstreams": ("name", "algorithm", "hash_on", "healthchecks", "tags"),
    "targets": ("target", "weight", "upstream", "tags"),
    "certificates": ("cert", "key", "snis", "tags"),
    "ca_certificates": ("cert", "tags"),
    "snis": ("name", "certificate", "tags"),
    "keys": ("name", "kid", "set", "pem", "jwk", "tags"),
    "vaults": ("name", "prefix", "description", "config", "tags"),
}  # fmt: skip
"""Fields in the order of a form, by collection. Others follow behind; of other collections all come first."""


def arranged(collection: str, inputs: Sequence[Input]) -> tuple[list[Input], list[Input]]:
    """What is asked for at once, and what behind one more step; what is required or wrong is never behind."""
    first = FIRST.get(collection)
    if first is None:
        return list(inputs), []
    order = {name: place for place, name in enumerate(first)}
    ahead = [one for one in inputs if one.label in order or one.required or one.has_problem]
    ahead.sort(key=lambda one: order.get(one.label, len(order)))
    return ahead, [one for one in inputs if one not in ahead]
