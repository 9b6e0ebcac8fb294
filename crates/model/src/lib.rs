//! Configuration structs of the data plane: one struct per entity row, as it crosses the door from Python.
//!
//! Generated from `python/twinplane/entities` by `make generate`; do not edit. Every field of every row is present, and
//! what is unset is null. References are bare ids. Holds no behaviour and no default.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The id of an entity: a UUID as text.
pub type Id = Arc<str>;

/// A row of `workspaces`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Workspace {
    pub id: Id,
    pub name: Box<str>,
    pub comment: Option<Box<str>>,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
    pub meta: Box<RawValue>,
    pub config: Box<RawValue>,
}

/// A row of `parameters`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    pub created_at: Option<i64>,
    pub key: Box<str>,
    pub value: Box<str>,
}

/// A row of `ca_certificates`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CaCertificate {
    pub id: Id,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
    pub cert: Box<str>,
    pub cert_digest: Option<Box<str>>,
    pub tags: Option<Vec<Box<str>>>,
}

/// A row of `certificates`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub id: Id,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
    pub cert: Box<str>,
    pub key: Box<str>,
    pub cert_alt: Option<Box<str>>,
    pub key_alt: Option<Box<str>>,
    pub tags: Option<Vec<Box<str>>>,
}

/// A row of `snis`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sni {
    pub id: Id,
    pub name: Box<str>,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
    pub tags: Option<Vec<Box<str>>>,
    pub certificate: Id,
}

/// Part of a row of `services`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTlsSans {
    pub dnsnames: Option<Vec<Box<str>>>,
    pub uris: Option<Vec<Box<str>>>,
}

/// A row of `services`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub id: Id,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
    pub name: Option<Box<str>>,
    pub retries: Option<i64>,
    pub protocol: Box<str>,
    pub host: Box<str>,
    pub port: i64,
    pub path: Option<Box<str>>,
    pub connect_timeout: Option<i64>,
    pub write_timeout: Option<i64>,
    pub read_timeout: Option<i64>,
    pub tags: Option<Vec<Box<str>>>,
    pub client_certificate: Option<Id>,
    pub tls_verify: Option<bool>,
    pub tls_verify_depth: Option<i64>,
    pub tls_sans: Option<ServiceTlsSans>,
    pub ca_certificates: Option<Vec<Id>>,
    pub enabled: bool,
}

/// Part of a row of `routes`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSources {
    pub ip: Option<Box<str>>,
    pub port: Option<i64>,
}

/// Part of a row of `routes`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RouteDestinations {
    pub ip: Option<Box<str>>,
    pub port: Option<i64>,
}

/// A row of `routes`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "as declared")]
pub struct Route {
    pub id: Id,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
    pub name: Option<Box<str>>,
    pub protocols: Vec<Box<str>>,
    pub https_redirect_status_code: i64,
    pub strip_path: bool,
    pub preserve_host: bool,
    pub request_buffering: bool,
    pub response_buffering: bool,
    pub tags: Option<Vec<Box<str>>>,
    pub service: Option<Id>,
    pub snis: Option<Vec<Box<str>>>,
    pub sources: Option<Vec<RouteSources>>,
    pub destinations: Option<Vec<RouteDestinations>>,
    pub methods: Option<Vec<Box<str>>>,
    pub hosts: Option<Vec<Box<str>>>,
    pub paths: Option<Vec<Box<str>>>,
    pub headers: Option<BTreeMap<Box<str>, Vec<Box<str>>>>,
    pub regex_priority: Option<i64>,
    pub path_handling: Option<Box<str>>,
    pub expression: Option<Box<str>>,
    pub priority: Option<i64>,
}

/// A row of `consumers`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    pub id: Id,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
    pub username: Option<Box<str>>,
    pub custom_id: Option<Box<str>>,
    pub tags: Option<Vec<Box<str>>>,
}

/// A row of `consumer_groups`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerGroup {
    pub id: Id,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
    pub name: Box<str>,
    pub tags: Option<Vec<Box<str>>>,
}

/// A row of `consumer_group_consumers`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerGroupConsumer {
    pub id: Id,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
    pub consumer_group: Id,
    pub consumer: Id,
    pub tags: Option<Vec<Box<str>>>,
}

/// Part of a row of `upstreams`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamHealthchecksActiveUnhealthy {
    pub http_statuses: Option<Vec<i64>>,
    pub interval: Option<f64>,
    pub tcp_failures: Option<i64>,
    pub timeouts: Option<i64>,
    pub http_failures: Option<i64>,
}

/// Part of a row of `upstreams`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamHealthchecksActiveHealthy {
    pub http_statuses: Option<Vec<i64>>,
    pub interval: Option<f64>,
    pub successes: Option<i64>,
}

/// Part of a row of `upstreams`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamHealthchecksActive {
    pub headers: Option<BTreeMap<Box<str>, Vec<Box<str>>>>,
    pub http_path: Option<Box<str>>,
    pub https_sni: Option<Box<str>>,
    pub https_verify_certificate: bool,
    pub r#type: Option<Box<str>>,
    pub concurrency: Option<i64>,
    pub unhealthy: UpstreamHealthchecksActiveUnhealthy,
    pub timeout: Option<f64>,
    pub healthy: UpstreamHealthchecksActiveHealthy,
}

/// Part of a row of `upstreams`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamHealthchecksPassiveUnhealthy {
    pub http_statuses: Option<Vec<i64>>,
    pub http_failures: Option<i64>,
    pub tcp_failures: Option<i64>,
    pub timeouts: Option<i64>,
}

/// Part of a row of `upstreams`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamHealthchecksPassiveHealthy {
    pub http_statuses: Option<Vec<i64>>,
    pub successes: Option<i64>,
}

/// Part of a row of `upstreams`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamHealthchecksPassive {
    pub r#type: Option<Box<str>>,
    pub unhealthy: UpstreamHealthchecksPassiveUnhealthy,
    pub healthy: UpstreamHealthchecksPassiveHealthy,
}

/// Part of a row of `upstreams`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamHealthchecks {
    pub active: UpstreamHealthchecksActive,
    pub passive: UpstreamHealthchecksPassive,
    pub threshold: Option<f64>,
}

/// A row of `upstreams`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    pub id: Id,
    pub created_at: Option<i64>,
    pub name: Box<str>,
    pub updated_at: Option<i64>,
    pub algorithm: Option<Box<str>>,
    pub hash_on: Option<Box<str>>,
    pub hash_fallback: Option<Box<str>>,
    pub hash_on_header: Option<Box<str>>,
    pub hash_fallback_header: Option<Box<str>>,
    pub hash_on_cookie: Option<Box<str>>,
    pub hash_on_cookie_path: Option<Box<str>>,
    pub hash_on_query_arg: Option<Box<str>>,
    pub hash_fallback_query_arg: Option<Box<str>>,
    pub hash_on_uri_capture: Option<Box<str>>,
    pub hash_fallback_uri_capture: Option<Box<str>>,
    pub sticky_sessions_cookie: Option<Box<str>>,
    pub sticky_sessions_cookie_path: Option<Box<str>>,
    pub slots: Option<i64>,
    pub healthchecks: UpstreamHealthchecks,
    pub tags: Option<Vec<Box<str>>>,
    pub host_header: Option<Box<str>>,
    pub client_certificate: Option<Id>,
    pub use_srv_name: Option<bool>,
}

/// A row of `targets`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub id: Id,
    pub created_at: Option<f64>,
    pub updated_at: Option<f64>,
    pub upstream: Id,
    pub target: Box<str>,
    pub weight: Option<i64>,
    pub failover: Option<bool>,
    pub tags: Option<Vec<Box<str>>>,
}

/// Part of a row of `plugins`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PluginOrderingBefore {
    pub access: Option<Vec<Box<str>>>,
}

/// Part of a row of `plugins`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PluginOrderingAfter {
    pub access: Option<Vec<Box<str>>>,
}

/// Part of a row of `plugins`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PluginOrdering {
    pub before: Option<PluginOrderingBefore>,
    pub after: Option<PluginOrderingAfter>,
}

/// Part of a row of `plugins`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PluginPartials {
    pub id: Box<str>,
    pub name: Option<Box<str>>,
    pub path: Option<Box<str>>,
}

/// A row of `plugins`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    pub id: Id,
    pub name: Box<str>,
    pub instance_name: Option<Box<str>>,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
    pub route: Option<Id>,
    pub service: Option<Id>,
    pub consumer: Option<Id>,
    pub consumer_group: Option<Id>,
    pub config: Box<RawValue>,
    pub protocols: Vec<Box<str>>,
    pub enabled: bool,
    pub ordering: Option<PluginOrdering>,
    pub partials: Option<Vec<PluginPartials>>,
    pub condition: Option<Box<str>>,
    pub tags: Option<Vec<Box<str>>>,
}

/// Part of a row of `filter_chains`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FilterChainFilters {
    pub name: Box<str>,
    pub enabled: bool,
    pub config: Option<Box<RawValue>>,
}

/// A row of `filter_chains`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FilterChain {
    pub id: Id,
    pub name: Option<Box<str>>,
    pub enabled: bool,
    pub route: Option<Id>,
    pub service: Option<Id>,
    pub filters: Vec<FilterChainFilters>,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
    pub tags: Option<Vec<Box<str>>>,
}

/// A row of `vaults`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    pub id: Id,
    pub prefix: Box<str>,
    pub name: Box<str>,
    pub description: Option<Box<str>>,
    pub config: Box<RawValue>,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
    pub tags: Option<Vec<Box<str>>>,
}

/// A row of `key_sets`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeySet {
    pub id: Id,
    pub name: Option<Box<str>>,
    pub tags: Option<Vec<Box<str>>>,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
}

/// Part of a row of `keys`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPem {
    pub private_key: Option<Box<str>>,
    pub public_key: Option<Box<str>>,
}

/// A row of `keys`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub id: Id,
    pub set: Option<Id>,
    pub name: Option<Box<str>>,
    pub kid: Box<str>,
    pub jwk: Option<Box<str>>,
    pub pem: Option<KeyPem>,
    pub x5t: Option<Box<str>>,
    pub tags: Option<Vec<Box<str>>>,
    pub created_at: Option<i64>,
    pub updated_at: Option<i64>,
}

/// A row of `keyauth_credentials`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyauthCredential {
    pub id: Id,
    pub created_at: Option<i64>,
    pub consumer: Id,
    pub key: Option<Box<str>>,
    pub tags: Option<Vec<Box<str>>>,
    pub ttl: Option<i64>,
}

/// A row of `basicauth_credentials`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BasicauthCredential {
    pub id: Id,
    pub created_at: Option<i64>,
    pub consumer: Id,
    pub username: Box<str>,
    pub password: Box<str>,
    pub tags: Option<Vec<Box<str>>>,
}

/// A row of `hmacauth_credentials`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HmacauthCredential {
    pub id: Id,
    pub created_at: Option<i64>,
    pub consumer: Id,
    pub username: Box<str>,
    pub secret: Option<Box<str>>,
    pub tags: Option<Vec<Box<str>>>,
}

/// A row of `jwt_secrets`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSecret {
    pub id: Id,
    pub created_at: Option<i64>,
    pub consumer: Id,
    pub key: Option<Box<str>>,
    pub secret: Option<Box<str>>,
    pub rsa_public_key: Option<Box<str>>,
    pub algorithm: Option<Box<str>>,
    pub tags: Option<Vec<Box<str>>>,
}

/// A row of `acls`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Acl {
    pub id: Id,
    pub created_at: Option<i64>,
    pub consumer: Id,
    pub group: Box<str>,
    pub tags: Option<Vec<Box<str>>>,
}

/// A row of `oauth2_credentials`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth2Credential {
    pub id: Id,
    pub created_at: Option<i64>,
    pub consumer: Id,
    pub name: Box<str>,
    pub client_id: Option<Box<str>>,
    pub client_secret: Option<Box<str>>,
    pub hash_secret: bool,
    pub redirect_uris: Option<Vec<Box<str>>>,
    pub tags: Option<Vec<Box<str>>>,
    pub client_type: Box<str>,
}

/// A row of `oauth2_tokens`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth2Token {
    pub id: Id,
    pub created_at: Option<i64>,
    pub service: Option<Id>,
    pub credential: Id,
    pub token_type: Box<str>,
    pub expires_in: i64,
    pub access_token: Option<Box<str>>,
    pub refresh_token: Option<Box<str>>,
    pub authenticated_userid: Option<Box<str>>,
    pub scope: Option<Box<str>>,
    pub ttl: Option<i64>,
}

/// A row of `acme_storage`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AcmeStorage {
    pub id: Id,
    pub key: Box<str>,
    pub value: Box<str>,
    pub created_at: Option<i64>,
    pub ttl: Option<i64>,
}

/// A whole configuration: flat arrays of rows, absent where there are none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigTable {
    #[serde(rename = "_format_version")]
    pub format_version: Option<Box<str>>,
    #[serde(rename = "_transform")]
    pub transform: Option<bool>,
    pub workspaces: Vec<Workspace>,
    pub parameters: Vec<Parameter>,
    pub ca_certificates: Vec<CaCertificate>,
    pub certificates: Vec<Certificate>,
    pub snis: Vec<Sni>,
    pub services: Vec<Service>,
    pub routes: Vec<Route>,
    pub consumers: Vec<Consumer>,
    pub consumer_groups: Vec<ConsumerGroup>,
    pub consumer_group_consumers: Vec<ConsumerGroupConsumer>,
    pub upstreams: Vec<Upstream>,
    pub targets: Vec<Target>,
    pub plugins: Vec<Plugin>,
    pub filter_chains: Vec<FilterChain>,
    pub vaults: Vec<Vault>,
    pub key_sets: Vec<KeySet>,
    pub keys: Vec<Key>,
    pub keyauth_credentials: Vec<KeyauthCredential>,
    pub basicauth_credentials: Vec<BasicauthCredential>,
    pub hmacauth_credentials: Vec<HmacauthCredential>,
    pub jwt_secrets: Vec<JwtSecret>,
    pub acls: Vec<Acl>,
    pub oauth2_credentials: Vec<Oauth2Credential>,
    pub oauth2_tokens: Vec<Oauth2Token>,
    pub acme_storage: Vec<AcmeStorage>,
}
