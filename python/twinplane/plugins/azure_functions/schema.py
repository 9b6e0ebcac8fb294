"""The configuration of `azure-functions`."""

from typing import Annotated

from twinplane.schema import Encrypted, Plugin, Record, Referenceable
from twinplane.schema.shared import Protocols


class Config(Record):
    """The configuration."""

    timeout: Annotated[float | None, "How long a connection, a send or a read may take, in milliseconds."] = 600000
    keepalive: Annotated[float | None, "How long an idle connection is kept, in milliseconds."] = 60000
    https: Annotated[bool | None, "Speak TLS to the sink."] = True
    https_verify: Annotated[bool | None, "Verify the server's certificate."] = False
    apikey: Annotated[str | None, Referenceable(), Encrypted(), "Key of the function."] = None
    clientid: Annotated[str | None, Referenceable(), Encrypted(), "Client of that key."] = None
    appname: Annotated[str, "Application that the function is in."]
    hostdomain: Annotated[str, "Domain of the application."] = "azurewebsites.net"
    routeprefix: Annotated[str | None, "Prefix of the path."] = "api"
    functionname: Annotated[str, "The function."]


class AzureFunctions(
    Plugin,
    name="azure-functions",
    version="3.9.3",
    priority=749,
    phases=("access",),
):
    """Calls a function of Azure in place of an upstream."""

    protocols: Protocols = ["grpc", "grpcs", "http", "https"]
    config: Annotated[Config, "Settings of the plugin."]


PLUGIN = AzureFunctions
