"""The configuration of `ldap-auth`."""

from typing import Annotated, ClassVar

from twinplane.schema import Between, Equals, Plugin, Record, Since, when
from twinplane.schema.shared import Host, HttpProtocols, NoConsumer


class Config(Record):
    """The configuration."""

    ldap_host: Annotated[Host, "Host of the directory."]
    ldap_port: Annotated[int, Between(0, 65535), "Port of the directory."] = 389
    ldaps: Annotated[bool, "Speak TLS from the start."] = False
    start_tls: Annotated[bool, "Change to TLS."] = False
    verify_ldap_host: Annotated[bool, "Verify the directory's certificate."] = False
    base_dn: Annotated[str, "Where people are looked for."]
    attribute: Annotated[str, "Attribute that people are looked for by."]
    cache_ttl: Annotated[float, "How long an answer is kept, in seconds."] = 60
    hide_credentials: Annotated[bool, "Take the credential out of the request before it goes upstream."] = False
    timeout: Annotated[float | None, "How long a connection, a send or a read may take, in milliseconds."] = 10000
    keepalive: Annotated[float | None, "How long an idle connection is kept, in milliseconds."] = 60000
    anonymous: Annotated[
        str | None, "Consumer, by id or username, that a request without valid credentials goes on as."
    ] = None
    header_type: Annotated[str | None, "Form of the tracing headers."] = "ldap"
    realm: Annotated[str | None, Since("3.8"), "Realm named in the challenge of a refusal."] = None

    checks: ClassVar = (
        when("ldaps", Equals(True)).then(
            "start_tls", Equals(False), error="'ldaps' and 'start_tls' cannot be enabled simultaneously"
        ),
    )


class LdapAuth(
    Plugin,
    name="ldap-auth",
    version="3.9.3",
    priority=1200,
    phases=("access",),
):
    """Asks for a user name and password of a directory."""

    consumer: NoConsumer = None
    protocols: HttpProtocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = LdapAuth
