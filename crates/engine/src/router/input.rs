//! A request as the router and the conditions of plugins see it.
use super::{End, MatchInput, Protocol};
use crate::exchange::{Client, Request, Scheme};
use crate::text::Text;

impl<'a> MatchInput<'a> {
    /// What is asked for a request whose path is in normal form.
    pub fn of(request: &'a Request, client: &'a Client) -> Self {
        Self {
            method: request.method.as_bytes(),
            host: request.host.as_bytes(),
            path: request.path.as_bytes(),
            query: request.query.as_ref().map_or(b"", Text::as_bytes),
            protocol: match client.scheme {
                Scheme::Http => Protocol::Http,
                Scheme::Https => Protocol::Https,
            },
            sni: client.sni.as_deref().map(str::as_bytes),
            source: End {
                address: Some(client.ip),
                port: Some(client.port),
            },
            destination: End {
                address: Some(client.listener_ip),
                port: Some(client.listener_port),
            },
            headers: &request.headers,
        }
    }
}
