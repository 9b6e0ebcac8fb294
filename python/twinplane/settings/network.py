"""Ports and host names of the platform: the one list that certificates, processes and docs follow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class ControlPlaneType(Enum):
    """What a control plane is for; it decides which hosts a network must let through."""

    GATEWAY = "CLUSTER_TYPE_CONTROL_PLANE"
    KIC = "CLUSTER_TYPE_K8S_INGRESS_CONTROLLER"


@dataclass(frozen=True, slots=True)
class Port:
    """A port that one side listens on."""

    side: str
    number: int
    transport: str
    setting: str
    direction: str
    protection: str
    use: str
    served: bool = True


@dataclass(frozen=True, slots=True)
class HostKind:
    """A family of host names under the base domain. `template` holds `{prefix}`, `{region}` and `{domain}`.

    `other_templates` are forms that newer or older documents have for the same host; they are answered alike. Where
    `served` is false the host answers that it is not. `tools` are the programs of people that ask for it.
    """

    name: str
    template: str
    use: str
    types: tuple[ControlPlaneType, ...]
    client_certificate: bool = False
    served: bool = True
    other_templates: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()

    @property
    def templates(self) -> tuple[str, ...]:
        """Every form of the name, the one that is shown first."""
        return (self.template, *self.other_templates)

    @property
    def is_regional(self) -> bool:
        """Whether there is one for each region."""
        return "{region}" in self.template

    def host(self, *, domain: str, region: str = "", prefix: str = "") -> str:
        """The full name for one region and one object."""
        return self.template.format(domain=domain, region=region, prefix=prefix)

    def hosts(self, *, domain: str, region: str = "", prefix: str = "") -> tuple[str, ...]:
        """The full name in every form."""
        return tuple(each.format(domain=domain, region=region, prefix=prefix) for each in self.templates)


_BOTH = (ControlPlaneType.GATEWAY, ControlPlaneType.KIC)
_TLS = "TLS; client certificate on cp0, tp0 and KIC names"

CONTROL_PLANE_PORT = Port(
    "control plane",
    443,
    "TCP",
    "port",
    "nodes and users connect in",
    _TLS,
    "console, APIs, configuration and telemetry",
)
AUDIT_PORT = Port(
    "control plane",
    8071,
    "TCP and UDP",
    "audit-listen",
    "nodes connect in",
    "TCP: TLS with client certificate; UDP: signed lines",
    "audit lines of nodes",
)
ADMIN_PORT = Port(
    "control plane",
    8001,
    "TCP",
    "admin-port",
    "this machine only",
    "loopback, host name checked",
    "Admin API of the control plane `default`; off unless set, on in `twinplane up`",
)
PROXY_PORT = Port("data plane", 8000, "TCP", "proxy_listen", "consumers connect in", "none", "HTTP traffic")
PROXY_TLS_PORT = Port(
    "data plane", 8443, "TCP", "proxy_listen", "consumers connect in", "TLS", "HTTPS traffic; images publish it as 443"
)
STATUS_PORT = Port(
    "data plane", 8007, "TCP", "status_listen", "this machine only", "loopback", "status, readiness, metrics"
)
NODE_ADMIN_PORT = Port(
    "data plane",
    8001,
    "TCP",
    "admin_listen",
    "this machine only",
    "loopback, host name checked",
    "Admin API of a node without control plane; 8444 with TLS",
)
PORTS = (CONTROL_PLANE_PORT, AUDIT_PORT, ADMIN_PORT, PROXY_PORT, PROXY_TLS_PORT, STATUS_PORT, NODE_ADMIN_PORT)

TOOLS = ("browser", "deck", "kongctl", "terraform", "kic", "portal", "mesh", "feed")
"""Programs beside nodes that a network may have to let through."""
_API_TOOLS = ("browser", "deck", "kongctl", "terraform")

GLOBAL = "global"
"""The region in name only: identity, and what belongs to no region. No control plane is in it."""

CLOUD = HostKind("console", "cloud.{domain}", "the platform for people", _BOTH, tools=("browser",))
GLOBAL_API = HostKind(
    "global API", "global.api.{domain}", "identity, organization", (ControlPlaneType.GATEWAY,), tools=_API_TOOLS
)
API = HostKind("API", "{region}.api.{domain}", "the API of a region; decK", _BOTH, tools=_API_TOOLS)
KIC_API = HostKind(
    "KIC API", "{region}.kic.api.{domain}", "ingress controllers", (ControlPlaneType.KIC,), True, tools=("kic",)
)
CONFIGURATION = HostKind(
    "configuration",
    "{prefix}.{region}.cp0.{domain}",
    "configuration of nodes",
    (ControlPlaneType.GATEWAY,),
    True,
    other_templates=("{prefix}.{region}.cp.{domain}",),
)
TELEMETRY = HostKind(
    "telemetry",
    "{prefix}.{region}.tp0.{domain}",
    "telemetry of nodes",
    _BOTH,
    True,
    other_templates=("{prefix}.{region}.tp.{domain}",),
)
PORTAL = HostKind(
    "developer portal", "{prefix}.{region}.portal.{domain}", "developer portals", (), served=False, tools=("portal",)
)
MESH = HostKind(
    "service mesh",
    "{region}.mesh.sync.{domain}",
    "zones of service meshes",
    (),
    served=False,
    tools=("mesh",),
)
ADDRESSES = HostKind(
    "published addresses", "ip-addresses.origin.{domain}", "ip-addresses.json and /rss", (), tools=("feed",)
)
IDENTITY = HostKind("identity server", "{region}.identity.{domain}", "OAuth issuer", (), served=False)
HOSTS = (CLOUD, GLOBAL_API, API, KIC_API, CONFIGURATION, TELEMETRY, PORTAL, MESH, ADDRESSES, IDENTITY)

# Asked for by nodes that share one certificate with their control plane, whatever host they dial.
SHARED_NAME = "kong_clustering"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def certificate_names(domain: str, regions: Iterable[str]) -> tuple[str, ...]:
    """Names that the front door's certificate carries: loopback, and a wildcard for each kind of host."""
    names = [*LOOPBACK_NAMES, domain]
    for kind in HOSTS:
        for region in (*regions, GLOBAL) if kind is MESH else regions:
            names += (name for name in kind.hosts(domain=domain, region=region, prefix="*") if name not in names)
        if not kind.is_regional:
            names += (name for name in kind.hosts(domain=domain) if name not in names)
    return tuple(names)


def client_certificate_patterns(domain: str, regions: Iterable[str]) -> tuple[str, ...]:
    """Server names on which a client certificate is asked for."""
    patterns = (
        name
        for kind in HOSTS
        if kind.client_certificate
        for region in regions
        for name in kind.hosts(domain=domain, region=region, prefix="*")
    )
    return (*patterns, SHARED_NAME)


def server_name_patterns(domain: str, region: str) -> tuple[str, ...]:
    """Server names that nodes of one region dial, as patterns."""
    return tuple(
        name for kind in (CONFIGURATION, TELEMETRY) for name in kind.hosts(domain=domain, region=region, prefix="*")
    )
