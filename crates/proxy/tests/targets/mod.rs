//! Each parser of ours with the promises that it keeps whatever it is given; `mutations.rs` runs them on mutated seeds.
mod chunks;
mod configuration;
mod connections;
mod credentials;
mod heads;
mod replies;
mod routing;

/// A parser under trial.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// What is parsed.
    pub name: &'static str,
    /// Bytes that are taken.
    pub seeds: &'static [&'static [u8]],
    /// What mutations put in.
    pub pieces: &'static [&'static [u8]],
    /// Panics where a promise is broken; says whether the bytes were taken.
    pub run: fn(&[u8]) -> bool,
}

/// All of them.
pub(crate) const ALL: &[Target] = &[
    heads::REQUEST,
    heads::RESPONSE,
    chunks::CHUNKS,
    routing::PATH,
    routing::EXPRESSION,
    connections::PROXY_PROTOCOL,
    connections::CLIENT_HELLO,
    connections::GRPC_STATUS,
    credentials::BASIC,
    credentials::HMAC,
    credentials::JWT,
    credentials::COOKIE_AND_QUERY,
    credentials::PUBLIC_KEY,
    configuration::CONFIGURATION,
    replies::REPLY,
];

/// The one of this name.
pub(crate) fn named(name: &str) -> &'static Target {
    let mut all = ALL.iter();
    all.find(|target| target.name == name)
        .expect("a target of this name")
}
