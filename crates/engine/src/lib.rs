//! Deciding: router, plugin chain, balancer, limiter, retry. Reads no clock, opens no socket.
pub mod answer;
pub mod balancer;
pub mod build;
pub mod chain;
pub mod exchange;
pub mod filter;
pub mod headers;
pub mod identity;
pub mod limiter;
pub mod path;
pub mod plugin;
pub mod record;
pub mod retry;
pub mod router;
pub mod scratch;
pub mod snapshot;
pub mod text;
