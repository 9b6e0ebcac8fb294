//! Doing: listeners, TLS, connections, timers. The only crate that names sockets, tokio and rustls.
pub mod clock;
pub mod conn_info;
pub mod dns;
mod downstream;
pub mod drain;
pub mod edge;
pub mod error;
pub mod h1;
pub mod listener;
pub mod network;
pub mod node;
pub mod proxy_protocol;
pub mod recorder;
pub mod server;
pub mod settings;
pub mod timers;
pub mod tls;
pub mod worker;
