//! Which peer of an upstream gets a request, and which peers get none for now.
//!
//! A balancer belongs to one worker and is built from resolved addresses; what is known of a peer belongs to the node and
//! outlives configurations. Neither reads a clock nor draws a random number: times and a seed are handed in.
mod book;
mod choice;
mod hash_input;
mod health;
mod load;
mod policy;
mod ring;
mod slow;
mod sticky;
mod target;
mod wheel;
mod xxhash;

pub use book::{HealthBook, PeerKey, Resolved};
pub use choice::{Ask, Balancer, Peer};
pub use hash_input::{HashInput, hash_input, sticky_cookie};
pub use health::{PeerHealth, PeerState, Report, Thresholds};
pub use load::PeerLoad;
pub use policy::{Algorithm, Checks, HashSource, Outcome, Policy, StickyCookie};
pub use slow::SlowRule;
pub use target::{TARGET_PORT, parse_target};
