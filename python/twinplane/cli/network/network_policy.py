"""The rules of nodes as a Kubernetes NetworkPolicy.

Such a policy knows networks and ports, but no host names: those stand in comments. The networks are given, or come from
the name server, or are everything.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import yaml

from twinplane.settings.allowlist import ANY, Rule

_EVERYWHERE = ("0.0.0.0/0", "::/0")
_LABEL = {"app.kubernetes.io/name": "twinplane", "app.kubernetes.io/component": "node"}
_DNS_PORT = 53


def addresses_of(host: str) -> list[str]:
    """The addresses of a name; none where it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(entry[4][0]).partition("%")[0] for entry in found})


def network_policy(
    rules: Sequence[Rule], networks: Sequence[str], resolve: Callable[[str], Sequence[str]] = addresses_of
) -> str:
    """A policy as YAML: out to the platform and to name servers, in from consumers."""
    out = [rule for rule in rules if rule.at == "nodes" and rule.direction == "out"]
    comments = [f"# out: {rule.host} {rule.port}/{rule.transport}, {rule.why}" for rule in out]
    blocks = list(networks) or _resolved(out, resolve)
    if not blocks:
        comments.append(
            "# No address is known for these hosts: every address is let through on these ports. Give --cidr."
        )
        blocks = list(_EVERYWHERE)
    comments.append("# Policies add up: one more is needed for the upstreams of your services.")
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "twinplane-nodes"},
        "spec": {
            "podSelector": {"matchLabels": dict(_LABEL)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": _ports(rule for rule in rules if rule.at == "nodes" and rule.direction == "in")}],
            "egress": [
                {"ports": [{"port": _DNS_PORT, "protocol": transport} for transport in ("TCP", "UDP")]},
                {"to": [{"ipBlock": {"cidr": block}} for block in blocks], "ports": _ports(out)},
            ],
        },
    }
    return "\n".join(comments) + "\n" + yaml.safe_dump(policy, sort_keys=False)


def _resolved(rules: Iterable[Rule], resolve: Callable[[str], Sequence[str]]) -> list[str]:
    """The addresses of all hosts as networks; none where one of them is a pattern or has no address."""
    blocks: list[str] = []
    for host in dict.fromkeys(rule.host for rule in rules):
        addresses = [] if ANY in host else resolve(host)
        if not addresses:
            return []
        for address in addresses:
            network = ipaddress.ip_network(address)
            blocks.append(str(network))
    return list(dict.fromkeys(blocks))


def _ports(rules: Iterable[Rule]) -> list[dict[str, Any]]:
    pairs = dict.fromkeys((rule.port, rule.transport) for rule in rules)
    return [{"port": port, "protocol": transport} for port, transport in pairs]
