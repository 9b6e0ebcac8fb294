//! Doing: listeners, TLS, connections, timers. The only crate that names sockets, tokio and rustls.
