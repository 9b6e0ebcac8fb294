//! The upstream's side: where a request goes, the connection it goes over, what is written to it and read from it.
//! Which failure is tried again is `engine`'s to decide; this side performs.
pub mod balancers;
pub mod connection;
pub mod h2;
pub mod head;
pub mod io;
pub mod peers;
pub mod pool;
pub(crate) mod rounds;
