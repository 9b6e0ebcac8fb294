//! TLS on both sides: which certificate a name gets, whether a client is asked for one, how upstreams are verified.
//! Decides nothing about what a client certificate is good for; the chain is handed on.
pub mod certificates;
pub mod cipher_suites;
mod client_verifier;
pub mod downstream;
pub mod identity;
mod public_key;
pub mod upstream;
mod verification;
