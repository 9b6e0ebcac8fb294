"""What the console knows of each collection beside its schema: which columns a list shows, what it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinplane.control.masking import SECRET_FIELDS
from twinplane.registry import EntityType, entity_type, entity_types
from twinplane.web.console.errors import PageError


@dataclass(frozen=True, slots=True)
class Kind:
    """One collection as people see it. `columns` are fields beside the name."""

    singular: str
    plural: str
    columns: Sequence[str] = ()
    purpose: str = ""


KINDS: Mapping[str, Kind] = {
    "services": Kind("Service", "Services", ("protocol", "host", "port", "path", "enabled"), "An upstream API."),
    "routes": Kind("Route", "Routes", ("service", "methods", "hosts", "paths"), "Which requests go to which service."),
    "consumers": Kind("Consumer", "Consumers", ("custom_id",), "Who calls: a person, a program, a customer."),
    "consumer_groups": Kind("Consumer group", "Consumer groups", (), "Consumers that share rules."),
    "consumer_group_consumers": Kind("Member", "Members", ("consumer", "consumer_group"), "A consumer in a group."),
    "plugins": Kind(
        "Plugin", "Plugins", ("instance_name", "service", "route", "consumer", "enabled"), "What is done to requests."
    ),
    "upstreams": Kind("Upstream", "Upstreams", ("algorithm", "slots"), "A name that stands for several targets."),
    "targets": Kind("Target", "Targets", ("weight", "upstream"), "An address behind an upstream."),
    "certificates": Kind("Certificate", "Certificates", ("tags",), "What the gateway shows in handshakes."),
    "ca_certificates": Kind("CA certificate", "CA certificates", ("cert_digest",), "Whom the gateway trusts."),
    "snis": Kind("SNI", "SNIs", ("certificate",), "Which certificate answers to which server name."),
    "keys": Kind("Key", "Keys", ("kid", "set"), "A key for signing and checking."),
    "key_sets": Kind("Key set", "Key sets", (), "Keys that belong together."),
    "vaults": Kind("Vault", "Vaults", ("name", "description"), "Where secrets are looked up."),
    "keyauth_credentials": Kind("API key", "API keys", ("consumer", "ttl"), "A key for key-auth."),
    "basicauth_credentials": Kind("Password", "Passwords", ("consumer",), "A name and password for basic-auth."),
    "hmacauth_credentials": Kind("HMAC secret", "HMAC secrets", ("consumer",), "A secret for hmac-auth."),
    "jwt_secrets": Kind("JWT credential", "JWT credentials", ("algorithm", "consumer"), "A key for jwt."),
    "acls": Kind("ACL group", "ACL groups", ("consumer",), "A group that acl asks for."),
    "oauth2_credentials": Kind(
        "OAuth 2.0 client", "OAuth 2.0 clients", ("client_id", "consumer"), "A client for oauth2."
    ),
    "filter_chains": Kind(
        "Filter chain", "Filter chains", ("service", "route", "enabled"), "WebAssembly filters in order."
    ),
    "licenses": Kind("Licence", "Licences", (), "Handed to nodes that ask for one; twinplane needs none."),
}

_BESIDE_ENTITIES = {"node_certificates": "Node certificate", "control_planes": "Control plane"}

_NAMES = ("name", "username", "target", "group", "prefix", "custom_id")


def kind_at(collection: str) -> tuple[EntityType, Kind]:
    """A collection by the name in a path. Raises PageError."""
    known = KINDS.get(collection)
    if known is None or collection not in entity_types():
        raise PageError(404, "Not found", "There is no such kind of entity.")
    return entity_type(collection), known


def name_of(row: Mapping[str, object]) -> str:
    """What a row is called, for people: its name, or the beginning of its id."""
    found = next((row[name] for name in _NAMES if row.get(name) and isinstance(row[name], str)), None)
    return str(found) if found else str(row.get("id", ""))[:8]


def is_secret(collection: str, name: str) -> bool:
    """Whether a value must not be shown without being asked for."""
    known = entity_type(collection).fields.get(name)
    return (known is not None and known.encrypted) or name in SECRET_FIELDS.get(collection, ())


def title_of(type_name: str) -> str:
    """What one of a kind is called, for people; also of kinds that have no pages of their own among the entities."""
    known = KINDS.get(type_name)
    return known.singular if known else _BESIDE_ENTITIES.get(type_name, type_name.replace("_", " ").capitalize())


def children_of(collection: str) -> list[tuple[str, str]]:
    """Collections whose rows name one of this: (collection, field)."""
    return [
        (name, field_name)
        for name, declared in entity_types().items()
        if name in KINDS
        for field_name, foreign in declared.foreign.items()
        if foreign.target == collection
    ]
