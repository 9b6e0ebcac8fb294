"""What the platform is told once, when it opens. The limits are bounds on what one call may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Names that endpoints are worded with, and limits.

    `regions` are served from this store; `installation_regions` are all that there are, where that is more;
    `store_regions` are those that the store may hold anything of (None: not looked at).
    """

    domain: str = "twinplane.localhost"
    other_domains: tuple[str, ...] = ()
    bare_hosts: tuple[str, ...] = ()
    advertised_port: int = 443
    regions: tuple[str, ...] = ("us",)
    installation_regions: tuple[str, ...] = ()
    store_regions: tuple[str, ...] | None = None
    page_size_max: int = 1000
    entity_bytes_max: int = 4 * 1024 * 1024
    batch_size_max: int = 100_000
    tags_max: int = 5
    nodes_max: int = 10_000
    node_purge_delay_s: int = 14 * 24 * 3600
    node_certificates_max: int = 256
    node_issues_max: int = 1000
    delta_changes_max: int = 100_000
    """Changes that a node may have missed and still be sent what changed."""
    change_retention_days: int = 0
    """How long the change log is kept; 0 keeps all of it."""
    busy_timeout_ms: int = 10_000
