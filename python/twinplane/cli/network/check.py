"""`twinplane network check`: tries, on the machine of a node, everything that it will need, and says what is wrong.

Settings are those of the node: kong.conf, KONG_* and, above both, options. Changes nothing, neither here nor there.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import hashlib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from twinplane.cli.network.audit_check import check_audit_port
from twinplane.cli.network.findings import Finding, as_json, as_text, has_failed
from twinplane.cli.network.link_checks import LinkCheck, LinkTarget, Trust
from twinplane.cli.network.presented import shown_name
from twinplane.cli.network.wire import Route
from twinplane.hybrid.dial import LinkTls, link_context
from twinplane.hybrid.wire import CONFIG_PATH, TELEMETRY_PATH
from twinplane.node.link_settings import read_endpoint, read_forward_proxy, read_link_tls
from twinplane.settings import Mistake, NodeSettings, SettingsError, load_node_settings
from twinplane.settings.network import AUDIT_PORT, SHARED_NAME

_OPTIONS = {
    "control_plane": ("cluster_control_plane", "HOST:PORT", "where configuration comes from"),
    "server_name": ("cluster_server_name", "NAME", "server name asked for there"),
    "telemetry": ("cluster_telemetry_endpoint", "HOST:PORT", "where telemetry goes"),
    "telemetry_server_name": ("cluster_telemetry_server_name", "NAME", "server name asked for there"),
    "cert": ("cluster_cert", "FILE", "certificate of the node"),
    "key": ("cluster_cert_key", "FILE", "its private key"),
    "ca": ("lua_ssl_trusted_certificate", "FILES", "authorities to trust; `system` for those of the system"),
    "proxy": ("proxy_server", "URL", "forward proxy to go through"),
}
_TIMEOUT_S = 5.0
_WHOLE_S = 120.0
_RENEW_BEFORE = datetime.timedelta(days=30)
_NODE = "node certificate"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("-c", "--conf", type=Path, metavar="FILE", help="kong.conf of the node")
    for name, (setting, metavar, text) in _OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=f"{text} ({setting})")
    port = AUDIT_PORT.number
    parser.add_argument("--audit-port", type=int, default=port, help=f"port that audit lines go to (default: {port})")
    parser.add_argument("--timeout", type=float, default=_TIMEOUT_S, help="seconds for each step (default: 5)")
    parser.add_argument("--json", action="store_true", help="findings as JSON")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 where a node would work, 1 where it would not. Raises SettingsError."""
    settings = load_node_settings(options.conf, {**environ, **_overlaid(options)})
    _check_numbers(options)
    findings = asyncio.run(find(settings, timeout_s=options.timeout, audit_port=options.audit_port))
    print(as_json(findings) if options.json else as_text(findings))
    return 1 if has_failed(findings) else 0


def _overlaid(options: argparse.Namespace) -> dict[str, str]:
    """Options as the environment would say them."""
    overlaid = {"KONG_ROLE": "data_plane", "KONG_DATABASE": "off"}
    for name, (setting, _, _) in _OPTIONS.items():
        given = getattr(options, name)
        if given is not None:
            overlaid[f"KONG_{setting.upper()}"] = given
    if options.proxy is not None:
        overlaid["KONG_CLUSTER_USE_PROXY"] = "on"
    return overlaid


def _check_numbers(options: argparse.Namespace) -> None:
    mistakes = []
    if not 0.1 <= options.timeout <= 60:
        mistakes.append(Mistake("command line", "timeout", "expected a number from 0.1 to 60 seconds"))
    if not 0 < options.audit_port < 65536:
        mistakes.append(Mistake("command line", "audit-port", "expected a port from 1 to 65535"))
    if mistakes:
        raise SettingsError(mistakes)


async def find(settings: NodeSettings, *, timeout_s: float, audit_port: int) -> Sequence[Finding]:
    """Every finding. Links are checked side by side."""
    try:
        tls = read_link_tls(settings)
        trust = _trust(tls)
        proxy = read_forward_proxy(settings)
    except (OSError, ValueError) as error:
        # What was given in place of a path may be a key: it is not repeated.
        seen = f"cannot be used: {error.strerror or 'no such file'}" if isinstance(error, OSError) else "cannot be used"
        if isinstance(error, ssl.SSLError):
            seen = "cannot be used: the key is not the certificate's, or one of them is damaged"
        advice = "check cluster_cert, cluster_cert_key, cluster_ca_cert and lua_ssl_trusted_certificate"
        return [Finding(_NODE, "files", "fail", seen, advice)]
    targets = [_target(settings, "configuration", CONFIG_PATH, "cluster_control_plane", "cluster_server_name")]
    if settings["cluster_telemetry_endpoint"]:
        targets.append(
            _target(
                settings, "telemetry", TELEMETRY_PATH, "cluster_telemetry_endpoint", "cluster_telemetry_server_name"
            )
        )
    targets = [replace(each, route=replace(each.route, proxy=proxy, timeout_s=timeout_s)) for each in targets]
    findings = _own_certificate(tls)
    checks = [LinkCheck(target, trust) for target in targets]
    try:
        async with asyncio.timeout(_WHOLE_S):
            audit, *_ = await asyncio.gather(
                _audit(settings, targets[0].route, trust, audit_port), *(check.run() for check in checks)
            )
    except TimeoutError:
        audit = [
            Finding("all", "time", "fail", f"not done within {_WHOLE_S:.0f} s", "give fewer addresses or --timeout")
        ]
    for check in checks:
        findings += check.findings
    return [*findings, *audit]


def _target(settings: NodeSettings, name: str, path: str, address: str, server_name: str) -> LinkTarget:
    endpoint = read_endpoint(settings[address], settings[server_name])
    asked = SHARED_NAME if settings["cluster_mtls"] == "shared" else endpoint.server_name
    return LinkTarget(name, Route(endpoint, asked, None, _TIMEOUT_S), path, settings["node_version"])


def _trust(tls: LinkTls) -> Trust:
    looking = link_context(tls)
    looking.check_hostname = False
    looking.verify_mode = ssl.CERT_NONE
    pinned = None
    if tls.mode == "shared":
        pinned = hashlib.sha256(
            x509.load_pem_x509_certificate(tls.certificate.encode()).public_bytes(Encoding.DER)
        ).hexdigest()
    return Trust(link_context(tls), looking, pinned)


def _own_certificate(tls: LinkTls) -> list[Finding]:
    certificate = x509.load_pem_x509_certificate(tls.certificate.encode())
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    now = datetime.datetime.now(datetime.UTC)
    seen = f"{shown_name(certificate.subject)}, valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}"
    if not begins <= now < ends:
        return [Finding(_NODE, "dates", "fail", seen, "make a new one and pin it; check the clock of this machine")]
    if ends - now < _RENEW_BEFORE:
        return [Finding(_NODE, "dates", "warn", seen, "make a new one and pin it before the old one ends")]
    return [Finding(_NODE, "dates", "ok", seen)]


async def _audit(settings: NodeSettings, route: Route, trust: Trust, port: int) -> list[Finding]:
    transport: str = settings["audit_transport"]
    if transport == "off":
        return []
    endpoint = replace(route.endpoint, port=port)
    if settings["audit_endpoint"]:
        endpoint = read_endpoint(settings["audit_endpoint"], route.server_name)
    return await check_audit_port(replace(route, endpoint=endpoint), trust.looking, transport)
