"""How a new node is started, by the place where it runs: commands with real values, for twinplane and Kong. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from twinplane.control import ControlPlane
from twinplane.node.authority import Identity

KONG_IMAGE = "kong/kong-gateway:3.9"
PLACES = ("Linux", "Docker", "Kubernetes", "macOS", "AWS", "Azure")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: what it is, and the text to copy."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Instructions:
    """What to do in one place."""

    place: str
    note: str
    steps: Sequence[Step]


def instructions(plane: ControlPlane, identity: Identity, *, domain: str, authority: str) -> Sequence[Instructions]:
    """For every place; for a control plane of an ingress controller the Helm values alone."""
    if plane.cluster_type.endswith("INGRESS_CONTROLLER"):
        return [_ingress_controller(plane, identity, domain, authority)]
    settings = kong_conf(plane, authority)
    return [
        _linux("Linux", "In a directory that only the node can read.", settings, identity, authority),
        _docker(settings, identity, authority),
        _kubernetes(plane, settings, identity, authority),
        _linux("macOS", "In a directory that only the node can read.", settings, identity, authority),
        _linux(
            "AWS",
            "On an EC2 machine; docs/guides/install-aws.md tells of balancers and groups.",
            settings,
            identity,
            authority,
        ),
        _linux(
            "Azure",
            "On a virtual machine; docs/guides/install-azure.md tells of balancers and groups.",
            settings,
            identity,
            authority,
        ),
    ]


def kong_conf(plane: ControlPlane, authority: str) -> dict[str, str]:
    """What `kong.conf` says of the link. Names under .localhost are dialled as localhost, with the full server name."""
    config, telemetry = _address(plane.control_plane_endpoint), _address(plane.telemetry_endpoint)
    return {
        "role": "data_plane",
        "database": "off",
        "cluster_mtls": "pki",
        "cluster_control_plane": _dialled(config),
        "cluster_server_name": config[0],
        "cluster_telemetry_endpoint": _dialled(telemetry),
        "cluster_telemetry_server_name": telemetry[0],
        "cluster_cert": "node.pem",
        "cluster_cert_key": "node.key",
        "lua_ssl_trusted_certificate": "system, ca.pem" if authority else "system",
        "konnect_mode": "on",
    }


def _linux(place: str, note: str, settings: dict[str, str], identity: Identity, authority: str) -> Instructions:
    conf = "\n".join(f"{name} = {value}" for name, value in {**settings, "prefix": "."}.items())
    make = f"umask 077 && mkdir -p node && cd node\n{_files(identity, authority)}\ncat > kong.conf <<'END'\n{conf}\nEND"
    return Instructions(
        place,
        note,
        (
            Step("Write the certificate and kong.conf", make),
            Step("Start a twinplane node", "twinplane data-plane -c kong.conf"),
            Step("or a Kong node", 'kong start -c kong.conf -p "$PWD"'),
        ),
    )


def _docker(settings: dict[str, str], identity: Identity, authority: str) -> Instructions:
    where = {"cluster_cert": "/node/node.pem", "cluster_cert_key": "/node/node.key"}
    if authority:
        where["lua_ssl_trusted_certificate"] = "system, /node/ca.pem"
    environment = " \\\n".join(
        f"  -e KONG_{name.upper()}={shlex.quote(value)}" for name, value in {**settings, **where}.items()
    )
    common = f'docker run -d -v "$PWD/node:/node:ro" -p 8000:8000 -p 8443:8443 \\\n{environment} \\\n'
    return Instructions(
        "Docker",
        "The files belong to the user that the container runs as (10001; 1000 for Kong), and to nobody else.",
        (
            Step(
                "Write the certificate",
                f"umask 077 && mkdir -p node && cd node\n{_files(identity, authority)}\nsudo chown 10001 . * && cd ..",
            ),
            Step(
                "Start a twinplane node",
                f"{common}  -e KONG_PROXY_LISTEN='0.0.0.0:8000, 0.0.0.0:8443 http2 ssl' twinplane data-plane",
            ),
            Step("or a Kong node", f"{common}  {KONG_IMAGE}"),
        ),
    )


def _kubernetes(plane: ControlPlane, settings: dict[str, str], identity: Identity, authority: str) -> Instructions:
    secrets = "kubectl create secret tls node --cert node.pem --key node.key"
    if authority:
        secrets += "\nkubectl create secret generic plane-ca --from-file=ca.crt=ca.pem"
    config, telemetry = settings["cluster_server_name"], settings["cluster_telemetry_server_name"]
    port = _address(plane.control_plane_endpoint)[1]
    helm = [
        "helm install nodes deploy/helm/twinplane --set controlPlane.enabled=false --set node.enabled=true",
        f"  --set node.controlPlane.host={config} --set node.controlPlane.telemetryHost={telemetry}",
        f"  --set node.controlPlane.port={port} --set node.certificateSecret=node",
    ]
    if authority:
        helm.append("  --set node.trustedSecret=plane-ca")
    where = {
        "cluster_cert": "/etc/secrets/node/tls.crt", "cluster_cert_key": "/etc/secrets/node/tls.key",
        "cluster_control_plane": f"{config}:{port}", "cluster_telemetry_endpoint": f"{telemetry}:{port}",
    }  # fmt: skip
    volumes = ["node"]
    if authority:
        where["lua_ssl_trusted_certificate"] = "system, /etc/secrets/plane-ca/ca.crt"
        volumes.append("plane-ca")
    lines = [f"  {name}: {_quoted(value)}" for name, value in {**settings, **where}.items()]
    values = "\n".join(
        [f"secretVolumes: [{', '.join(volumes)}]", "admin: {enabled: false}", "manager: {enabled: false}",
         "ingressController: {enabled: false}", "env:", *lines]
    )  # fmt: skip
    return Instructions(
        "Kubernetes",
        "With Helm, in the namespace of the node.",
        (
            Step("Write the certificate", f"umask 077\n{_files(identity, authority)}"),
            Step("Hand it to the cluster", secrets),
            Step("Start twinplane nodes", " \\\n".join(helm)),
            Step("or Kong nodes: values.yaml for their chart", values),
        ),
    )


def _ingress_controller(plane: ControlPlane, identity: Identity, domain: str, authority: str) -> Instructions:
    port = _address(plane.control_plane_endpoint)[1]
    host = f"{plane.region}.kic.api.{domain}{'' if port == 443 else f':{port}'}"
    telemetry = _address(plane.telemetry_endpoint)
    values = f"""controller:
  ingressController:
    env: {{feature_gates: "FillIDs=true"}}
    konnect:
      enabled: true
      controlPlaneID: {plane.id}
      apiHostname: {host}
      tlsClientCertSecretName: konnect-client-tls
      license: {{enabled: true}}
gateway:
  env:
    cluster_telemetry_endpoint: {telemetry[0]}:{telemetry[1]}
    cluster_telemetry_server_name: {telemetry[0]}"""
    hand_over = "kubectl create secret tls konnect-client-tls --cert node.pem --key node.key"
    return Instructions(
        "Kubernetes",
        "The controller owns the configuration; here it is read only.",
        (
            Step("Write the certificate", f"umask 077\n{_files(identity, authority)}"),
            Step("Hand it to the cluster", hand_over),
            Step("values.yaml for the chart of the ingress controller", values),
        ),
    )


def _files(identity: Identity, authority: str) -> str:
    files = {"node.pem": identity.certificate, "node.key": identity.key, **({"ca.pem": authority} if authority else {})}
    return "\n".join(f"cat > {name} <<'END'\n{text.strip()}\nEND" for name, text in files.items())


def _address(endpoint: str) -> tuple[str, int]:
    parts = urlsplit(endpoint)
    return parts.hostname or "", parts.port or 443


def _dialled(address: tuple[str, int]) -> str:
    host, port = address
    return f"localhost:{port}" if host.endswith(".localhost") else f"{host}:{port}"


def _quoted(value: str) -> str:
    return f'"{value}"'
