"""The core entities, declared in the language of `schema`; one file for each, or for a few that belong together."""

from collections.abc import Mapping
from typing import Any

from twinplane.entities import route, vault
from twinplane.entities.certificate import CaCertificate, Certificate, Sni
from twinplane.entities.consumer import Consumer, ConsumerGroup, ConsumerGroupConsumer
from twinplane.entities.credential import (
    Acl,
    AcmeStorage,
    BasicauthCredential,
    HmacauthCredential,
    JwtSecret,
    KeyauthCredential,
    Oauth2AuthorizationCode,
    Oauth2Credential,
    Oauth2Token,
    Session,
)
from twinplane.entities.filter_chain import FilterChain
from twinplane.entities.key import Key, KeySet
from twinplane.entities.license import License
from twinplane.entities.plugin import PluginEntity
from twinplane.entities.service import Service
from twinplane.entities.upstream import Target, Upstream
from twinplane.entities.workspace import ClusteringDataPlane, Parameter, TagUse, Workspace
from twinplane.schema import Entity, Variant

# Parents before children: the order in which a payload lists collections.
ENTITIES: tuple[type[Entity], ...] = (
    Workspace,
    Parameter,
    CaCertificate,
    Certificate,
    Sni,
    Service,
    route.Route,
    Consumer,
    ConsumerGroup,
    ConsumerGroupConsumer,
    Upstream,
    Target,
    PluginEntity,
    FilterChain,
    vault.Vault,
    KeySet,
    Key,
    KeyauthCredential,
    BasicauthCredential,
    HmacauthCredential,
    JwtSecret,
    Acl,
    Oauth2Credential,
    Oauth2AuthorizationCode,
    Oauth2Token,
    AcmeStorage,
    Session,
    TagUse,
    ClusteringDataPlane,
    License,
)

VARIANTS: Mapping[str, Mapping[Any, type[Variant]]] = {"routes": route.VARIANTS, "vaults": vault.VARIANTS}

__all__ = ["ENTITIES", "VARIANTS"]
