//! Idle connections to upstreams, per worker. A connection comes back only after its response has ended, and goes out
//! again only if nothing was heard of it meanwhile.
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::task::{Context, Waker};

use ahash::AHashMap;

use crate::settings::KeepaliveSettings;
use crate::upstream::connection::UpstreamConnection;

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// An address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(Box<str>),
}

/// What two requests must have in common to share a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// Where it leads.
    pub place: Place,
    /// Number of the TLS configuration; 0 in the clear.
    pub tls: u64,
    /// Name asked for in the TLS handshake.
    pub server_name: Option<Box<str>>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<UpstreamConnection>,
    since_ms: u64,
}

/// A worker's idle connections.
#[derive(Debug)]
pub struct Pool {
    settings: Cell<KeepaliveSettings>,
    idle: RefCell<AHashMap<PoolKey, Vec<Idle>>>,
}

impl Pool {
    /// An empty one.
    pub fn new(settings: KeepaliveSettings) -> Self {
        Self {
            settings: Cell::new(settings),
            idle: RefCell::default(),
        }
    }

    /// Keeps connections by other settings from now on.
    pub fn adopt(&self, settings: KeepaliveSettings) {
        self.settings.set(settings);
    }

    /// The connection that became idle last, if one lives.
    pub fn take(&self, key: &PoolKey, now_ms: u64) -> Option<Box<UpstreamConnection>> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(key)?;
        while let Some(Idle {
            mut connection,
            since_ms,
        }) = kept.pop()
        {
            if self.is_too_old(since_ms, now_ms) {
                // Those below are older still.
                kept.clear();
                break;
            }
            if !connection.is_stale(&mut Context::from_waker(Waker::noop())) {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose response has ended. The oldest goes when there are too many of its kind.
    pub fn put(&self, mut connection: Box<UpstreamConnection>, now_ms: u64) {
        let KeepaliveSettings {
            pool_size,
            max_requests,
            ..
        } = self.settings.get();
        let is_worn = max_requests != 0 && connection.served >= max_requests;
        if pool_size == 0 || is_worn || !connection.buffer.is_empty() {
            return;
        }
        connection.release_memory();
        let mut idle = self.idle.borrow_mut();
        let added = Idle {
            since_ms: now_ms,
            connection,
        };
        if let Some(kept) = idle.get_mut(&added.connection.key) {
            if kept.len() >= pool_size {
                kept.remove(0);
            }
            kept.push(added);
        } else {
            idle.insert(added.connection.key.clone(), vec![added]);
        }
    }

    /// Closes what is too old or was closed by its upstream.
    pub fn sweep(&self, now_ms: u64) {
        let mut context = Context::from_waker(Waker::noop());
        self.idle.borrow_mut().retain(|_, kept| {
            kept.retain_mut(|idle| {
                !self.is_too_old(idle.since_ms, now_ms) && !idle.connection.is_stale(&mut context)
            });
            !kept.is_empty()
        });
    }

    /// How many connections are idle.
    pub fn len(&self) -> usize {
        self.idle.borrow().values().map(Vec::len).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn is_too_old(&self, since_ms: u64, now_ms: u64) -> bool {
        let most_ms = self.settings.get().idle_timeout_s.saturating_mul(1_000);
        most_ms != 0 && now_ms.saturating_sub(since_ms) >= most_ms
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::upstream::io::UpstreamIo;

    fn run(test: impl AsyncFnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test());
    }

    fn pool(pool_size: usize, max_requests: u64) -> Pool {
        Pool::new(KeepaliveSettings {
            pool_size,
            max_requests,
            idle_timeout_s: 60,
            ..KeepaliveSettings::default()
        })
    }

    async fn pair(listener: &TcpListener, tls: u64) -> (Box<UpstreamConnection>, TcpStream) {
        let place = listener.local_addr().unwrap();
        let stream = TcpStream::connect(place).await.unwrap();
        let key = PoolKey {
            place: Place::Tcp(place),
            tls,
            server_name: None,
        };
        let connection = UpstreamConnection::new(UpstreamIo::Tcp(stream), key);
        (connection, listener.accept().await.unwrap().0)
    }

    #[test]
    fn a_connection_is_shared_only_by_those_with_the_same_key() {
        run(async || {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (connection, _peer) = pair(&listener, 7).await;
            let (key, pool) = (connection.key.clone(), pool(8, 0));
            let other = PoolKey {
                tls: 0,
                ..key.clone()
            };
            pool.put(connection, 0);
            assert!(pool.take(&other, 1).is_none());
            assert!(pool.take(&key, 1).is_some());
            assert!(pool.take(&key, 1).is_none());
        });
    }

    #[test]
    fn what_was_closed_or_spoke_while_idle_is_not_given_out() {
        run(async || {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let pool = pool(8, 0);
            let (closed, peer) = pair(&listener, 0).await;
            let key = closed.key.clone();
            pool.put(closed, 0);
            drop(peer);
            let (chatty, mut peer) = pair(&listener, 0).await;
            pool.put(chatty, 0);
            peer.write_all(b"HTTP/1.1 408 Too slow\r\n\r\n")
                .await
                .unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            assert!(pool.take(&key, 1).is_none());
            assert!(pool.is_empty());
        });
    }

    #[test]
    fn age_number_and_wear_are_bounded() {
        run(async || {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let pool = pool(2, 10);
            let mut peers = Vec::new();
            for _ in 0..3 {
                let (connection, peer) = pair(&listener, 0).await;
                pool.put(connection, 0);
                peers.push(peer);
            }
            assert_eq!(pool.len(), 2);
            let (mut worn, peer) = pair(&listener, 0).await;
            let key = worn.key.clone();
            worn.served = 10;
            pool.put(worn, 0);
            peers.push(peer);
            assert_eq!(pool.len(), 2);
            pool.sweep(59_999);
            assert_eq!(pool.len(), 2);
            assert!(pool.take(&key, 60_000).is_none());
            pool.sweep(60_000);
            assert!(pool.is_empty());
        });
    }
}
