"""A Redis server, and the names its settings had when they lay flat in a configuration."""

from typing import Annotated, Any

from twinplane.schema import Encrypted, Length, Record, Referenceable, Shorthand, renamed
from twinplane.schema.shared import Host, Port, Sni, Timeout


class Redis(Record):
    """The Redis that keeps the data."""

    host: Annotated[Host | None, "Host that is spoken to."] = None
    port: Annotated[Port | None, "Port that is spoken to."] = 6379
    timeout: Annotated[Timeout | None, "How long a connection, a send or a read may take, in milliseconds."] = 2000
    username: Annotated[str | None, Referenceable(), "User name at the server."] = None
    password: Annotated[str | None, Length(minimum=0), Referenceable(), Encrypted(), "Password at the server."] = None
    database: Annotated[int | None, "Number of the database."] = 0
    ssl: Annotated[bool | None, "Speak TLS."] = False
    ssl_verify: Annotated[bool | None, "Verify the server's certificate."] = False
    server_name: Annotated[Sni | None, "Server name asked for in TLS."] = None


_FLAT_NAMES: dict[str, Any] = {
    "host": str,
    "port": int,
    "password": Annotated[str, Length(minimum=0)],
    "username": str,
    "ssl": bool,
    "ssl_verify": bool,
    "server_name": str,
    "timeout": int,
    "database": int,
}


def flat_redis_names(plugin: str) -> tuple[Shorthand, ...]:
    """The deprecated `redis_…` names of a plugin's Redis settings."""
    return tuple(
        renamed(
            f"redis_{name}",
            annotation,
            "redis",
            name,
            message=f"{plugin}: config.redis_{name} is deprecated, please use config.redis.{name} instead",
        )
        for name, annotation in _FLAT_NAMES.items()
    )
