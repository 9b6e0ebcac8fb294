"""What a node may say is not as it should be while it serves, by code, and what to do about each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

ConditionCode: TypeAlias = Literal[
    "cache_damaged",
    "cache_unwritable",
    "telemetry_not_durable",
    "cluster_certificate_refused",
    "ssl_certificate_refused",
    "status_ssl_certificate_refused",
    "admin_ssl_certificate_refused",
    "fallback_served",
    "fallback_not_imported",
    "fallback_not_exported",
    "declarative_config_refused",
    "settings_refused",
    "admin_unavailable",
    "access_log_unwritable",
    "status_access_log_unwritable",
    "admin_access_log_unwritable",
    "counter_store_unreachable",
    "upstream_without_targets",
    "license_expiring",
    "license_expired",
]
"""Every code that a node of ours notes: no other one passes the type checker."""

CONDITIONS: Final[Mapping[str, str]] = {
    "cache_damaged": "nothing where an older configuration is served: the next one replaces what is damaged",
    "cache_unwritable": "free the node's disk or mend the rights of its prefix",
    "telemetry_not_durable": "free the node's disk or mend the rights of its prefix",
    "cluster_certificate_refused": "mend the files of cluster_cert and cluster_cert_key",
    "ssl_certificate_refused": "mend the files of ssl_cert and ssl_cert_key",
    "status_ssl_certificate_refused": "mend the files of status_ssl_cert and status_ssl_cert_key",
    "admin_ssl_certificate_refused": "mend the files of admin_ssl_cert and admin_ssl_cert_key",
    "fallback_served": "look why the control plane did not answer the node",
    "fallback_not_imported": "look at the file that the description names",
    "fallback_not_exported": "look at the file that the description names",
    "declarative_config_refused": "mend the file and send SIGHUP to the node",
    "settings_refused": "mend what the description names and send SIGHUP to the node",
    "admin_unavailable": "set admin_listen to other ports, or off",
    "access_log_unwritable": "look at the file of proxy_access_log, its disk and its rights",
    "status_access_log_unwritable": "look at the file of status_access_log, its disk and its rights",
    "admin_access_log_unwritable": "look at the file of admin_access_log, its disk and its rights",
    "counter_store_unreachable": "look at the Redis that the description names, and at the way there",
    "upstream_without_targets": "look at the targets of the upstreams that the description names, and at their checks",
    "license_expiring": "renew the license, or remove it",
    "license_expired": "renew the license, or remove it",
}
