"""The plugins to choose from, by what they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinplane.registry import PluginType, plugin_types

CATEGORIES: Mapping[str, frozenset[str]] = {
    "Authentication": frozenset(
        {"basic-auth", "hmac-auth", "jwt", "key-auth", "ldap-auth", "oauth2", "session", "acme", "standard-webhooks"}
    ),
    "Security": frozenset({"acl", "bot-detection", "cors", "ip-restriction"}),
    "Traffic": frozenset(
        {
            "proxy-cache", "rate-limiting", "redirect", "request-size-limiting", "request-termination",
            "response-ratelimiting",
        }
    ),
    "Transformation": frozenset(
        {"correlation-id", "grpc-gateway", "grpc-web", "request-transformer", "response-transformer"}
    ),
    "Observation": frozenset({"datadog", "opentelemetry", "prometheus", "statsd", "zipkin"}),
    "Logging": frozenset({"file-log", "http-log", "loggly", "syslog", "tcp-log", "udp-log"}),
    "Functions": frozenset({"aws-lambda", "azure-functions", "post-function", "pre-function"}),
    "AI": frozenset(),
}  # fmt: skip
_OTHER = "Other"


@dataclass(frozen=True, slots=True)
class Offer:
    """One plugin in the gallery."""

    name: str
    purpose: str
    is_run: bool


def gallery(wanted: str = "") -> Sequence[tuple[str, Sequence[Offer]]]:
    """Plugins whose name or purpose holds a text, by category; categories without any are left out."""
    groups: dict[str, list[Offer]] = {category: [] for category in (*CATEGORIES, _OTHER)}
    for name, plugin in sorted(plugin_types().items()):
        purpose = plugin.shape.description
        if wanted.lower() in f"{name} {purpose}".lower():
            groups[category_of(name)].append(Offer(name, purpose, _is_run(plugin)))
    return [(category, offers) for category, offers in groups.items() if offers]


def category_of(name: str) -> str:
    """What a plugin is for, in a word."""
    if name.startswith("ai-"):
        return "AI"
    return next((category for category, names in CATEGORIES.items() if name in names), _OTHER)


def _is_run(plugin: PluginType) -> bool:
    """Whether nodes of this version run it; else its routes answer 503, unless it only observes."""
    return plugin.is_implemented
