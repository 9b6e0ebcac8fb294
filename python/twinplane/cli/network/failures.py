"""What went wrong on the network, in plain words, and what to do about it. Pure."""

from __future__ import annotations

import errno
import socket
import ssl

from twinplane.cli.network.wire import NotHttp
from twinplane.hybrid.errors import LinkError

_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "UNKNOWN_PROTOCOL",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
)
_VERIFY = {
    9: "the certificate is not valid yet: compare the clock of this machine with the control plane's",
    10: "the certificate has expired: renew it on the control plane, or set the clock of this machine",
    18: "put the certificate into lua_ssl_trusted_certificate, if it is the control plane's own",
    19: "put the authority of the control plane into lua_ssl_trusted_certificate (ca.pem of a built-in one)",
    20: "put the authority of the control plane into lua_ssl_trusted_certificate (ca.pem of a built-in one)",
    21: "let the control plane send its whole chain, or trust the intermediate authority",
    62: "the certificate is made out to other names: check cluster_server_name, and that the address is the right one",
    64: "the certificate is made out to other addresses: dial a name, or set cluster_server_name",
}


def words_for(error: BaseException) -> str:
    """What happened."""
    match error:
        case LinkError():
            return str(error)
        case TimeoutError():
            return "nothing comes back in time"
        case socket.gaierror():
            return f"the name is not resolved ({error.strerror})"
        case ConnectionRefusedError():
            return "the connection is refused"
        case ConnectionResetError() | BrokenPipeError() | EOFError():
            return "the connection is cut"
        case ssl.SSLCertVerificationError():
            return error.verify_message
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return "the connection is cut"
        case ssl.SSLError() if error.reason in _NOT_TLS:
            return "the answer is not TLS"
        case ssl.SSLError():
            return f"TLS fails: {(error.reason or 'unknown reason').replace('_', ' ').lower()}"
        case NotHttp():
            return f"the answer is not HTTP: {error.args[0]!r}"
        case OSError() if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            return "there is no route to it"
        case OSError():
            return error.strerror or type(error).__name__
    return type(error).__name__


def advice_for(step: str, error: BaseException) -> str:
    """What to do. `step` is resolve, connect, tls, verify or upgrade."""
    if isinstance(error, LinkError):
        return "put the forward proxy in order, or go without it (cluster_use_proxy)"
    if step == "resolve":
        return "check the spelling of the host, the name server of this machine and /etc/hosts"
    if step == "verify" and isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY.get(error.verify_code, "check lua_ssl_trusted_certificate and cluster_server_name")
    if step == "connect":
        return _connect_advice(error)
    if isinstance(error, TimeoutError):
        return (
            "the port opens, but nothing is let through: look for a firewall or relay that answers for the other side,"
            " or that drops what it does not understand"
        )
    if isinstance(error, ssl.SSLError) and error.reason in _NOT_TLS:
        return "the port belongs to something else: check host and port, and that a load balancer passes TLS through"
    return "a firewall may cut TLS by host name, or the other side knows no such name: check the server name"


def _connect_advice(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there, or a firewall refuses: check host and port, and that the control plane runs"
    if isinstance(error, TimeoutError):
        return "a firewall drops it: let this machine out to that host and port (twinplane network allowlist)"
    return "check routes and firewalls between this machine and the address"
