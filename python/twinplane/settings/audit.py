"""The settings of audit logging: of the port and the trail on a control plane, of the sender on a node."""

from __future__ import annotations

import re

from twinplane.settings.setting import ENDPOINT, LISTEN_OR_OFF, PATH, PORT, SIZE, Kind, Setting, integer, one_of

TRAIL: tuple[Setting, ...] = (
    Setting("audit-retention-days", integer(1, 3650, unit="days"), "90", "How long audit records are kept."),
    Setting("audit-records-max", integer(1000, 100_000_000), "1000000", "Audit records kept; the oldest give way."),
)

AUDIT_PORT: tuple[Setting, ...] = (
    Setting(
        "audit-listen",
        LISTEN_OR_OFF,
        "0.0.0.0:8071",
        "Where audit lines of nodes are taken, on TCP (TLS) and on UDP. Port 0 is any free one; off turns it off. Of"
        " several regions in one process each has a port of its own, one after the other.",
    ),
    Setting(
        "audit-advertised-port", PORT, "0", "Port that nodes are told to send audit lines to. 0 is the listening one."
    ),
    Setting("audit-line-limit", SIZE, "8k", "Longest audit line taken; a longer one is dropped and counted."),
    Setting("audit-connections", integer(1, 100_000), "4096", "TCP connections of the audit port at a time."),
    Setting(
        "audit-certificate-connections",
        integer(1, 100_000),
        "1024",
        "Those of them with one certificate, from whatever addresses: a pair that a whole fleet shares needs one for"
        " each node.",
    ),
    Setting(
        "audit-rate",
        integer(1, 1_000_000, unit="lines a second"),
        "200",
        "Audit lines taken of one node: over TCP it is slowed down, over UDP lines are dropped and counted.",
    ),
    Setting(
        "audit-queue",
        integer(100, 1_000_000),
        "10000",
        "Audit records that wait to be written; more are dropped and counted.",
    ),
)


def _read_forward(text: str) -> tuple[str, str, int] | None:
    if text == "off":
        return None
    found = _FORWARD.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise ValueError(f"expected off, or udp, tcp or tls and ://host:port, got '{text}'")
    return found["transport"], found["host"].strip("[]"), int(found["port"])


_FORWARD = re.compile(r"(?P<transport>udp|tcp|tls)://(?P<host>[^\s/:@]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")
_FORWARD_OR_OFF: Kind[tuple[str, str, int] | None] = Kind("udp|tcp|tls://host:port|off", _read_forward)

FORWARD: tuple[Setting, ...] = (
    Setting("audit-forward", _FORWARD_OR_OFF, "off", "Syslog server that every audit record is sent on to."),
    Setting("audit-forward-format", one_of("rfc5424", "cef"), "rfc5424", "Form of the records that are sent on."),
    Setting(
        "audit-forward-ca", PATH, "", "Authority (PEM) of the syslog server. Empty: the authorities of the system."
    ),
)

AUDIT_NODE: tuple[Setting, ...] = (
    Setting(
        "audit_transport",
        one_of("tcp", "udp", "off"),
        "tcp",
        "How the node sends its audit lines. tcp is TLS with cluster_cert; over udp each line is signed.",
    ),
    Setting(
        "audit_endpoint",
        ENDPOINT,
        "",
        "Where audit lines go. Default: the host of cluster_control_plane, at the port that the control plane tells.",
    ),
    Setting("audit_format", one_of("rfc5424", "cef"), "rfc5424", "Form of an audit line: structured data, or CEF."),
    Setting(
        "audit_queue_size",
        integer(10, 1_000_000, unit="lines"),
        "10000",
        "Audit lines kept while they cannot be sent; the oldest give way and are counted.",
    ),
)
