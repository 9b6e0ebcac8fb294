"""Services: the upstream APIs that routes lead to."""

from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from twinplane.schema import (
    Between,
    Enterprise,
    Entity,
    Record,
    Reference,
    References,
    Shorthand,
    not_in,
    null,
    one_of,
    when,
)
from twinplane.schema.shared import AutoId, CreatedAt, Host, Id, Path, Port, Protocol, Tags, UniqueName, UpdatedAt

Milliseconds = Annotated[int | None, Between(1, 2147483646)]


class TlsSans(Record):
    """Names that the certificate of the upstream may carry instead of the host."""

    dnsnames: Annotated[list[str] | None, "Accepted DNS names."] = None
    uris: Annotated[list[str] | None, "Accepted URIs."] = None


def _from_url(url: Any, body: dict[str, Any]) -> None:
    """Spreads a URL over protocol, host, port and path. A null is read as Kong reads it: as a text that is no URL."""
    if url is None:
        body.update(protocol="userdata", host=None, path=" NULL", port=80)
        return
    scheme, colon, rest = url.partition("://")
    try:
        parts = urlsplit(url if colon or url.startswith("//") else f"path:{url}")
    except ValueError:
        # An open bracket, or one around no address: the host's own check tells what is wrong with it.
        body.update(host=rest or url, port=80, path=None)
        return
    try:
        port = parts.port
    except ValueError:
        digits = parts.netloc.rpartition(":")[2]
        port = int(digits) if digits.isdecimal() and len(digits) < 10 else None
    if colon:
        body["protocol"] = scheme
    host = parts.netloc.rpartition("@")[2]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    body["host"] = host or None
    body["port"] = port if port is not None else 443 if scheme == "https" else 80
    body["path"] = parts.path or None


class Service(Entity, collection="services", endpoint_key="name"):
    """An upstream API that routes lead to."""

    id: AutoId = None
    created_at: CreatedAt = None
    updated_at: UpdatedAt = None
    name: UniqueName = None
    retries: Annotated[int | None, Between(0, 32767), "Attempts after the first one fails."] = 5
    protocol: Annotated[Protocol, "Protocol spoken to the upstream."] = "http"
    host: Annotated[Host, "Name or address of the upstream; the name of an upstream entity balances over its targets."]
    port: Annotated[Port, "Port of the upstream."] = 80
    path: Annotated[Path | None, "Prefix put before the path of each request."] = None
    connect_timeout: Annotated[Milliseconds, "Milliseconds to wait for a connection."] = 60000
    write_timeout: Annotated[Milliseconds, "Milliseconds between two writes to the upstream."] = 60000
    read_timeout: Annotated[Milliseconds, "Milliseconds between two reads from the upstream."] = 60000
    tags: Tags = None
    client_certificate: Annotated[
        Reference | None, References("certificates"), "Certificate shown to an upstream that asks for one."
    ] = None
    tls_verify: Annotated[
        bool | None, "Whether the certificate of the upstream is verified; unset: the node decides."
    ] = None
    tls_verify_depth: Annotated[int | None, Between(0, 64), "Longest chain accepted when verifying."] = None
    tls_sans: Annotated[TlsSans | None, Enterprise(), "Names accepted in the certificate of the upstream."] = None
    ca_certificates: Annotated[list[Id] | None, "Ids of the CA certificates trusted when verifying."] = None
    enabled: Annotated[bool, "Whether its routes are served."] = True

    shorthands: ClassVar = (
        Shorthand("url", str, expand=_from_url, description="Short for protocol, host, port and path, which it sets."),
    )
    checks: ClassVar = (
        when("protocol", one_of("tcp", "tls", "udp", "grpc", "grpcs")).then("path", null()),
        when("protocol", not_in("https", "tls")).then("client_certificate", null()),
        when("protocol", not_in("https", "tls")).then("tls_verify", null()),
        when("protocol", not_in("https", "tls")).then("tls_verify_depth", null()),
        when("protocol", not_in("https", "tls")).then("ca_certificates", null()),
    )
