"""The settings of a node about names of upstreams and about targets that do badly."""

from __future__ import annotations

from twinplane.settings.setting import LIST, PATH, SWITCH, Kind, Setting, integer

_SECONDS_MAX = 10 * 365 * 86400


def _read_factor(text: str) -> float | None:
    try:
        factor = 0.0 if text == "off" else float(text)
    except ValueError:
        factor = float("nan")
    if text != "off" and not 1.5 <= factor <= 1000:
        raise ValueError(f"expected off or a number from 1.5 to 1000, got '{text}'")
    return factor or None


def _words(*known: str) -> Kind[tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        words = tuple(word.strip().upper() for word in text.split(",") if word.strip())
        unknown = [word for word in words if word not in known]
        if unknown or not words:
            raise ValueError(f"expected a list of {', '.join(known)}, got '{text}'")
        return words

    return Kind(f"list of {', '.join(known)}", read)


BALANCING: tuple[Setting, ...] = (
    Setting(
        "slow_target_factor",
        Kind("off or number 1.5..1000", _read_factor),
        "off",
        "A target that takes longer to answer than so many times the median of its upstream's targets is passed over"
        " for a while, as long as others are there.",
    ),
    Setting("slow_target_pause", integer(1, 86400, unit="seconds"), "30", "How long a slow target is passed over."),
    Setting(
        "probes_max",
        integer(1, 10_000),
        "256",
        "Probes of active health checks under way at a time, over all upstreams; further ones wait and are counted.",
    ),
    Setting(
        "status_target_health",
        SWITCH,
        "off",
        "Whether `PUT /upstreams/{upstream}/targets/{target}/healthy` and `…/unhealthy` are taken on the status port.",
    ),
    Setting("dns_resolver", LIST, "", "Name servers, as address[:port]. Default: those of the system."),
    Setting("dns_hostsfile", PATH, "/etc/hosts", "Hosts file looked at first."),
    Setting(
        "dns_order",
        _words("LAST", "SRV", "A", "AAAA", "CNAME"),
        "LAST,SRV,A,CNAME",
        "Record types in the order they are asked for; LAST is the type that the name had the last time. Addresses of"
        " both families are asked for in the end in any case, and names that lead to other names are followed.",
    ),
    Setting("dns_cache_size", integer(1, 10_000_000), "10000", "Names remembered by each worker."),
    Setting(
        "dns_valid_ttl", integer(0, _SECONDS_MAX, unit="seconds"), "", "Time to live used in place of the record's own."
    ),
    Setting(
        "dns_stale_ttl",
        integer(0, _SECONDS_MAX, unit="seconds"),
        "3600",
        "How long an expired answer may still be used.",
    ),
    Setting(
        "dns_not_found_ttl", integer(0, _SECONDS_MAX, unit="seconds"), "30", "How long an absent name is remembered."
    ),
    Setting("dns_error_ttl", integer(0, _SECONDS_MAX, unit="seconds"), "1", "How long a failed look-up is remembered."),
    Setting(
        "new_dns_client",
        SWITCH,
        "off",
        "Whether the resolver_* settings say how names are resolved, rather than the dns_* ones.",
    ),
    Setting("resolver_address", LIST, "", "Name servers, as address[:port]. Default: those of the system."),
    Setting("resolver_hosts_file", PATH, "/etc/hosts", "Hosts file looked at first."),
    Setting(
        "resolver_family",
        _words("A", "AAAA", "SRV"),
        "A,SRV",
        "Record types asked for, and no others; SRV only for names that begin with an underscore.",
    ),
    Setting(
        "resolver_valid_ttl",
        integer(0, _SECONDS_MAX, unit="seconds"),
        "",
        "Time to live used in place of the record's own.",
    ),
    Setting(
        "resolver_stale_ttl",
        integer(0, _SECONDS_MAX, unit="seconds"),
        "3600",
        "How long an expired answer may still be used.",
    ),
    Setting(
        "resolver_error_ttl",
        integer(0, _SECONDS_MAX, unit="seconds"),
        "1",
        "How long an absent name or a failed look-up is remembered.",
    ),
    Setting("resolver_lru_cache_size", integer(1, 10_000_000), "10000", "Names remembered by each worker."),
)
