//! Name resolution against a name server on loopback whose answers each test decides.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;
use twinplane_proxy::clock::Clock;
use twinplane_proxy::dns::{Dns, DnsError, Found};
use twinplane_proxy::settings::DnsSettings;

/// What the name server does with a question.
#[derive(Clone)]
enum Say {
    Addresses(Vec<IpAddr>, u32),
    Nothing(ResponseCode),
    Silence,
}

struct NameServer {
    address: SocketAddr,
    say: Rc<RefCell<Say>>,
    asked: Rc<RefCell<Vec<(String, RecordType)>>>,
}

impl NameServer {
    async fn start(say: Say) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let say = Rc::new(RefCell::new(say));
        let asked = Rc::new(RefCell::new(Vec::new()));
        tokio::task::spawn_local(Self::serve(socket, Rc::clone(&say), Rc::clone(&asked)));
        Self {
            address,
            say,
            asked,
        }
    }

    async fn serve(
        socket: UdpSocket,
        say: Rc<RefCell<Say>>,
        asked: Rc<RefCell<Vec<(String, RecordType)>>>,
    ) {
        let mut buffer = [0; 2_048];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let query = question.queries[0].clone();
            asked
                .borrow_mut()
                .push((query.name().to_string(), query.query_type()));
            let mut answer =
                Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
            answer.metadata.recursion_available = true;
            answer.add_query(query.clone());
            match say.borrow().clone() {
                Say::Silence => continue,
                Say::Nothing(code) => answer.metadata.response_code = code,
                Say::Addresses(addresses, ttl) => {
                    for address in addresses {
                        let data = match address {
                            IpAddr::V4(address) => RData::A(A(address)),
                            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
                        };
                        if data.record_type() == query.query_type() {
                            answer.add_answer(Record::from_rdata(query.name().clone(), ttl, data));
                        }
                    }
                }
            }
            socket
                .send_to(&answer.to_vec().unwrap(), from)
                .await
                .unwrap();
        }
    }

    fn says(&self, say: Say) {
        *self.say.borrow_mut() = say;
    }

    fn asked_for(&self, name: &str) -> usize {
        self.asked
            .borrow()
            .iter()
            .filter(|(asked, kind)| asked == name && *kind == RecordType::A)
            .count()
    }

    fn dns(&self, change: impl FnOnce(&mut DnsSettings)) -> Dns {
        let mut settings = DnsSettings {
            resolvers: vec![self.address.to_string()],
            ..DnsSettings::default()
        };
        change(&mut settings);
        Dns::new(&settings, Clock::start(), Arc::default())
    }
}

fn run<F: Future>(test: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async { test().await });
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn found(answer: Result<Rc<[Found]>, DnsError>) -> Vec<IpAddr> {
    answer.unwrap().iter().map(|found| found.address).collect()
}

const BUDGET: Duration = Duration::from_secs(5);

#[test]
fn a_name_is_asked_for_once_while_it_is_fresh() {
    run(async || {
        let server =
            NameServer::start(Say::Addresses(vec![ip("192.0.2.1"), ip("192.0.2.2")], 60)).await;
        let dns = server.dns(|_| ());
        for name in ["a.example", "A.Example"] {
            assert_eq!(
                found(dns.lookup(name, BUDGET).await),
                [ip("192.0.2.1"), ip("192.0.2.2")]
            );
        }
        assert_eq!(server.asked_for("a.example."), 1);
    });
}

#[test]
fn many_who_wait_for_a_name_ask_once() {
    run(async || {
        let server = NameServer::start(Say::Addresses(vec![ip("192.0.2.1")], 60)).await;
        let dns = server.dns(|_| ());
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                let dns = dns.clone();
                tokio::task::spawn_local(async move { dns.lookup("a.example", BUDGET).await })
            })
            .collect();
        for task in waiting {
            assert_eq!(task.await.unwrap().unwrap().len(), 1);
        }
        assert_eq!(server.asked_for("a.example."), 1);
    });
}

#[test]
fn a_stale_answer_is_served_while_the_server_fails() {
    run(async || {
        let server = NameServer::start(Say::Addresses(vec![ip("192.0.2.1")], 1)).await;
        let dns = server.dns(|_| ());
        dns.lookup("a.example", BUDGET).await.unwrap();
        server.says(Say::Nothing(ResponseCode::ServFail));
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        for _ in 0..3 {
            let started = Instant::now();
            assert_eq!(
                found(dns.lookup("a.example", BUDGET).await),
                [ip("192.0.2.1")]
            );
            assert!(
                started.elapsed() < Duration::from_millis(100),
                "a stale answer does not wait"
            );
        }
        server.says(Say::Addresses(vec![ip("192.0.2.9")], 60));
        // The failure is remembered for a second; then one request starts the refresh.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        dns.lookup("a.example", BUDGET).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(
            found(dns.lookup("a.example", BUDGET).await),
            [ip("192.0.2.9")]
        );
    });
}

#[test]
fn a_missing_name_is_remembered() {
    run(async || {
        let server = NameServer::start(Say::Nothing(ResponseCode::NXDomain)).await;
        let dns = server.dns(|_| ());
        for _ in 0..3 {
            assert_eq!(
                dns.lookup("a.example", BUDGET).await,
                Err(DnsError::NotFound)
            );
        }
        assert_eq!(server.asked_for("a.example."), 1);
    });
}

#[test]
fn a_failing_server_is_a_failure_not_an_absence() {
    run(async || {
        let server = NameServer::start(Say::Nothing(ResponseCode::ServFail)).await;
        let error = server
            .dns(|_| ())
            .lookup("a.example", BUDGET)
            .await
            .unwrap_err();
        assert!(matches!(error, DnsError::Failed(_)), "{error:?}");
    });
}

#[test]
fn nobody_waits_longer_than_the_time_given() {
    run(async || {
        let server = NameServer::start(Say::Silence).await;
        let dns = server.dns(|_| ());
        let started = Instant::now();
        assert_eq!(
            dns.lookup("a.example", Duration::from_millis(300)).await,
            Err(DnsError::TimedOut)
        );
        assert!(started.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn a_name_with_ipv6_alone_resolves() {
    run(async || {
        let server = NameServer::start(Say::Addresses(vec![ip("2001:db8::1")], 60)).await;
        let dns = server.dns(|_| ());
        assert_eq!(
            found(dns.lookup("a.example", BUDGET).await),
            [ip("2001:db8::1")]
        );
    });
}

#[test]
fn the_order_decides_which_family_is_asked_first() {
    run(async || {
        let both = vec![ip("2001:db8::1"), ip("192.0.2.1")];
        let server = NameServer::start(Say::Addresses(both, 60)).await;
        let dns = server.dns(|settings| settings.order = vec!["AAAA".to_owned(), "A".to_owned()]);
        assert_eq!(
            found(dns.lookup("a.example", BUDGET).await),
            [ip("2001:db8::1")]
        );
    });
}

#[test]
fn addresses_and_the_hosts_file_need_no_server() {
    run(async || {
        let server = NameServer::start(Say::Silence).await;
        let path = std::env::temp_dir().join(format!("twinplane-hosts-{}", std::process::id()));
        std::fs::write(&path, "192.0.2.7 here.example\n").unwrap();
        let dns = server.dns(|settings| settings.hosts_file = path.to_string_lossy().into_owned());
        std::fs::remove_file(&path).unwrap();
        for (name, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("[::1]", "::1"),
            ("HERE.example", "192.0.2.7"),
        ] {
            assert_eq!(found(dns.lookup(name, BUDGET).await), [ip(address)]);
        }
        assert!(server.asked.borrow().is_empty());
    });
}
