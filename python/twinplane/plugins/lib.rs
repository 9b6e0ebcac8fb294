//! What the bundled plugins written in Rust do to a request, one folder each.
mod arguments;
mod base64;
mod body;
mod caller;
mod entities;
mod guest;
mod json;
mod log_entry;
mod log_plugin;
mod lua;
mod number;
mod shared_counts;
mod stream_entry;
mod table;
mod uuid;

mod acl {
    mod config;
    pub(crate) mod filter;
}
mod basic_auth {
    mod config;
    pub(crate) mod filter;
}
mod bot_detection {
    mod config;
    mod crawlers;
    pub(crate) mod filter;
}
mod correlation_id {
    mod config;
    pub(crate) mod filter;
}
mod cors {
    mod config;
    pub(crate) mod filter;
}
mod file_log {
    mod config;
    pub(crate) mod filter;
}
mod hmac_auth {
    mod config;
    pub(crate) mod filter;
    mod signed;
}
mod http_log {
    mod config;
    pub(crate) mod filter;
}
mod ip_restriction {
    mod config;
    pub(crate) mod filter;
    mod ranges;
}
mod jwt {
    mod config;
    pub(crate) mod filter;
    mod places;
    mod token;
}
mod key_auth {
    mod config;
    pub(crate) mod filter;
}
mod prometheus {
    mod config;
    pub(crate) mod filter;
}
mod proxy_cache {
    mod conditions;
    mod config;
    mod directives;
    pub(crate) mod filter;
    mod key;
    mod media_type;
}
mod rate_limiting {
    mod config;
    pub(crate) mod filter;
}
mod redirect {
    mod config;
    pub(crate) mod filter;
}
mod request_size_limiting {
    mod config;
    pub(crate) mod filter;
}
mod request_termination {
    mod config;
    pub(crate) mod filter;
}
mod request_transformer {
    mod body_changes;
    mod changes;
    mod config;
    pub(crate) mod filter;
    mod header_changes;
    mod query_changes;
    mod template;
}
mod response_ratelimiting {
    mod config;
    pub(crate) mod filter;
}
mod response_transformer {
    mod config;
    pub(crate) mod filter;
    mod header_changes;
    mod json_changes;

    /// `name:value` apart; colons that follow the first belong to neither.
    fn split(entry: &str) -> (&str, Option<&str>) {
        let (name, value) = entry.split_once(':').unwrap_or((entry, ""));
        let value = value.trim_start_matches(':');
        (name, (!value.is_empty()).then_some(value))
    }
}
mod syslog {
    mod config;
    pub(crate) mod filter;
}
mod tcp_log {
    mod config;
    pub(crate) mod filter;
}
mod udp_log {
    mod config;
    pub(crate) mod filter;
}

use twinplane_engine::plugin::{PluginSpec, PluginTable};

/// All bundled plugins, with or without behaviour on this node.
pub fn table() -> &'static PluginTable {
    &table::TABLE
}

/// A plugin in Python that does not come with the node.
pub fn guest(
    name: &'static str,
    priority: i32,
    version: &'static str,
    observes_only: bool,
) -> PluginSpec {
    PluginSpec {
        name,
        priority,
        version,
        observes_only,
        build: Some(guest::build),
    }
}
