"""Writes `docs/network.md` from the constants that processes run on."""

from __future__ import annotations

from twinplane.settings.network import HOSTS, PORTS, TOOLS, ControlPlaneType, HostKind, Port

PAGE = "docs/network.md"
_TYPES = {ControlPlaneType.GATEWAY: "gateway", ControlPlaneType.KIC: "KIC"}


_REST = """
`cp0` and `tp0` exist in every region but `global`. Endpoints that are shown, and every printed `kong.conf`, carry
`advertised-port`, or the listening port, wherever it is not 443. Several regions: [regions](guides/regions.md).

## What to let through

    twinplane network allowlist --region eu,us --type gateway,kic
    twinplane network allowlist --region eu --tools deck,browser
    twinplane network allowlist --control-plane shop --address us.api.example.com:443 --token-file token -o json
    twinplane network allowlist --cidr 203.0.113.0/24 -o kubernetes

Every host, port, transport and direction with its reason, from the tables above; of control planes that are named, the
exact hosts. Tools: {tools}. A NetworkPolicy knows no
host names: it takes the networks of `--cidr`, or the addresses that the name server has for exact hosts.

## Addresses

`https://ip-addresses.origin.{{domain}}/ip-addresses.json` (also under `/.well-known/`, and on the hosts of console
and APIs) lists the addresses behind the hosts of each region, and those that calls of the platform come from; `/rss`
tells how they changed. No token is asked for; `ETag` and `Last-Modified` spare what is known.

    {{"createdAt": "2026-01-02T03:04:05Z", "revision": 7,
     "ingressIPs": {{"eu": ["203.0.113.0/24"], "us": ["198.51.100.7/32"], "global": []}},
     "egressIPs": {{"eu": ["203.0.113.9/32"]}}}}

They come from `ip-ingress` and `ip-egress`, or from resolving the API hosts and `ip-names` every `ip-resolve` seconds.
An address that the name server has ceased to give stays for `ip-forget`; a name that cannot be resolved changes
nothing. The last 100 changes are kept in the store.

## What is wrong

    twinplane network check -c kong.conf

Run it where a node is to run, with the node's settings (`kong.conf`, `KONG_*`, options). It tries each step of both
links side by side and changes nothing: no node appears on the control plane. The exit status is 0 where a node
would work, 1 where it would not, 2 for wrong settings; `--json` is for programs.

| check | fails or warns where |
|---|---|
| node certificate | it cannot be read, is not the key's, has expired or ends within 30 days |
| resolve | the name server does not know the host, or the forward proxy |
| connect | an address refuses, or answers nothing |
| TLS, proxy and TLS | the port speaks something else, a relay swallows everything, the proxy refuses |
| server certificate | it is of another name or authority, expired, or made up by a device in between |
| client certificate | it is pinned nowhere, or something in between ends TLS so that it never arrives |
| WebSocket upgrade | something in between answers it, or does not pass it on |
| clock | the control plane's differs by more than 30 s (300 s: fails) |
| large packets | 24 kB at once are not answered: an MTU that is too large somewhere, or a limit in between |
| audit lines: TCP, UDP | the port is shut; traffic is not concerned, so this never fails |
"""


def page() -> str:
    """The whole page."""
    lines = [
        "<!-- Generated from python/twinplane/settings/network.py by `make generate`; do not edit. -->",
        "# Network",
        "",
        "Nodes and users open every connection; a control plane never dials a node. Configuration and telemetry travel",
        "over the one TLS port of the control plane, both with the node's client certificate.",
        "",
        "## Ports",
        "",
        "| side | port | transport | set by | direction | protection | for |",
        "|---|---|---|---|---|---|---|",
        *(_port_row(port) for port in PORTS),
        "",
        "`twinplane up` listens on 9443 in place of 443, so that it needs no privileges.",
        "",
        "## Host names",
        "",
        "`{domain}` is the base domain (`--domain`), `{region}` one of the served regions, `{prefix}` the DNS prefix",
        "or the id of a control plane; where two forms stand, both are answered and the first is shown. Case, a port",
        "and a final dot do not matter. The `Host` field decides, and the server name of the TLS handshake where that",
        "is a bare address: an IP address, `localhost`, a name of one label, the base domain itself, or one of",
        "`bare-hosts`. Any other name is answered with 404 in plain words; so is a host whose service is not served,",
        "as a page for browsers and as problem details for programs.",
        "",
        "| host | for | client certificate | let through for control planes of type | asked for by |",
        "|---|---|---|---|---|",
        *(_host_row(kind) for kind in HOSTS),
        *_REST.format(tools=", ".join(f"`{tool}`" for tool in TOOLS)).splitlines(),
    ]
    return "\n".join(lines) + "\n"


def _port_row(port: Port) -> str:
    use = port.use if port.served else f"{port.use} (not served by this version)"
    return (
        f"| {port.side} | {port.number} | {port.transport} | `{port.setting}` "
        f"| {port.direction} | {port.protection} | {use} |"
    )


def _host_row(kind: HostKind) -> str:
    types = ", ".join(_TYPES[each] for each in kind.types) or "where used"
    use = kind.use if kind.served else f"{kind.use} (not served by this version)"
    names = ", ".join(f"`{each}`" for each in kind.templates)
    certificate = "asked for" if kind.client_certificate else "not asked for"
    tools = ", ".join(kind.tools) or ("nodes" if "{prefix}" in kind.template else "where used")
    return f"| {names} | {use} | {certificate} | {types} | {tools} |"
