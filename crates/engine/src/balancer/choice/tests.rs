use super::super::{Report, Thresholds};
use super::*;

fn peer(last: u8, weight: u32) -> Peer {
    Peer {
        target: u32::from(last),
        host: format!("10.0.0.{last}").into(),
        address: IpAddr::from([10, 0, 0, last]),
        port: 80,
        weight,
        is_failover: false,
        service_name: None,
        health: Arc::new(PeerHealth::default()),
    }
}

fn put_out(peer: &Peer) {
    peer.health.set(false);
}

fn balancer(peers: Vec<Peer>, algorithm: Algorithm) -> Balancer {
    let policy = Policy {
        algorithm,
        slots: 10_000,
        ..Policy::default()
    };
    Balancer::build(peers, &policy, 7)
}

fn with_threshold(peers: Vec<Peer>, threshold_percent: f64) -> Balancer {
    let policy = Policy {
        threshold_percent,
        ..Policy::default()
    };
    Balancer::build(peers, &policy, 7)
}

const ALL: [Algorithm; 5] = [
    Algorithm::RoundRobin,
    Algorithm::ConsistentHashing,
    Algorithm::LeastConnections,
    Algorithm::Latency,
    Algorithm::StickySessions,
];

fn counted(balancer: &Balancer, asks: impl Iterator<Item = Ask<'static>>) -> Vec<usize> {
    let mut counts = vec![0; balancer.peers().len()];
    for ask in asks {
        let picked = balancer.pick(&ask).unwrap();
        let at = balancer
            .peers()
            .iter()
            .position(|peer| peer.address == picked.address);
        counts[at.unwrap()] += 1;
    }
    counts
}

fn asks(count: usize) -> impl Iterator<Item = Ask<'static>> {
    std::iter::repeat_n(Ask::default(), count)
}

fn hashed(hash: u32) -> Ask<'static> {
    Ask {
        hash: Some(hash),
        ..Ask::default()
    }
}

#[test]
fn requests_follow_the_weights_exactly_in_each_turn() {
    let wheel = balancer(
        vec![peer(1, 30), peer(2, 10), peer(3, 0)],
        Algorithm::RoundRobin,
    );
    assert_eq!(counted(&wheel, asks(8)), [6, 2, 0]);
}

#[test]
fn a_retry_goes_to_another_peer_while_there_is_one() {
    for algorithm in ALL {
        let two = balancer(vec![peer(1, 1), peer(2, 1)], algorithm);
        let ask = hashed(99);
        let first = two.pick(&ask).unwrap();
        let tried = [(first.address, first.port)];
        let second = two
            .pick(&Ask {
                tried: &tried,
                ..ask
            })
            .unwrap();
        assert_ne!(second.address, first.address, "{algorithm:?}");
        let tried = [tried[0], (second.address, second.port)];
        assert!(
            two.pick(&Ask {
                tried: &tried,
                ..ask
            })
            .is_some(),
            "{algorithm:?}"
        );
    }
}

#[test]
fn peers_that_are_out_or_without_weight_get_nothing() {
    for algorithm in ALL {
        let peers = vec![peer(1, 40), peer(2, 60), peer(3, 0)];
        put_out(&peers[1]);
        let balancer = balancer(peers, algorithm);
        assert_eq!(counted(&balancer, asks(10)), [10, 0, 0], "{algorithm:?}");
        let hashes = (0..50).map(|n| hashed(n * 77_777));
        assert_eq!(counted(&balancer, hashes), [50, 0, 0], "{algorithm:?}");
    }
}

#[test]
fn nobody_in_means_no_peer() {
    for algorithm in ALL {
        assert!(
            balancer(vec![peer(1, 0)], algorithm)
                .pick(&hashed(1))
                .is_none()
        );
        assert!(balancer(vec![], algorithm).pick(&hashed(1)).is_none());
        let peers = vec![peer(1, 1)];
        put_out(&peers[0]);
        assert!(balancer(peers, algorithm).pick(&hashed(1)).is_none());
    }
}

#[test]
fn the_threshold_closes_the_upstream() {
    let out = peer(2, 60);
    let limits = Thresholds {
        tcp_failures: 1,
        ..Thresholds::default()
    };
    out.health.report(Report::TcpFailure, &limits);
    let peers = vec![peer(1, 40), out];
    assert!(
        with_threshold(peers.clone(), 39.0)
            .pick(&Ask::default())
            .is_some()
    );
    assert!(with_threshold(peers, 40.0).pick(&Ask::default()).is_none());
}

#[test]
fn open_requests_weigh_by_the_peers_weight() {
    let least = balancer(vec![peer(1, 10), peer(2, 30)], Algorithm::LeastConnections);
    let mut counts = [0, 0];
    let mut open = Vec::new();
    for _ in 0..40 {
        let picked = least.pick(&Ask::default()).unwrap();
        least.begin(picked);
        counts[usize::from(picked.weight == 30)] += 1;
        open.push(picked.clone());
    }
    assert_eq!(counts, [10, 30]);
    for peer in open.iter().filter(|peer| peer.weight == 10) {
        least.end(peer, None, 0);
    }
    assert_eq!(least.pick(&Ask::default()).unwrap().weight, 10);
}

#[test]
fn equally_busy_peers_take_turns() {
    let least = balancer(
        vec![peer(1, 1), peer(2, 1), peer(3, 1)],
        Algorithm::LeastConnections,
    );
    assert_eq!(counted(&least, asks(9)), [3, 3, 3]);
}

#[test]
fn a_hash_keeps_its_peer_while_others_come_and_go() {
    let all = vec![peer(1, 100), peer(2, 100), peer(3, 100), peer(4, 100)];
    let before = balancer(all.clone(), Algorithm::ConsistentHashing);
    let after = balancer(all[..3].to_vec(), Algorithm::ConsistentHashing);
    let mut moved = 0;
    for n in 0..1000u32 {
        let ask = hashed(super::super::ring::hash(&n.to_le_bytes()));
        let old = before.pick(&ask).unwrap().address;
        assert_eq!(old, before.pick(&ask).unwrap().address);
        let new = after.pick(&ask).unwrap().address;
        moved += usize::from(old != new && old != all[3].address);
    }
    // Only the points that collided may change hands beside those of the peer that left.
    assert!(moved < 60, "{moved} of 1000 moved without need");
}

#[test]
fn a_ring_shares_by_weight() {
    let ring = balancer(
        vec![peer(1, 300), peer(2, 100)],
        Algorithm::ConsistentHashing,
    );
    let hashes = (0..4000u32).map(|n| hashed(super::super::ring::hash(&n.to_le_bytes())));
    let counts = counted(&ring, hashes);
    assert!((2500..3500).contains(&counts[0]), "{counts:?}");
}

#[test]
fn the_faster_peer_gets_more_and_a_new_one_starts_at_the_average() {
    let peers = vec![peer(1, 1), peer(2, 1), peer(3, 1)];
    let latency = balancer(peers, Algorithm::Latency);
    latency.end(&latency.peers()[0], Some(1_000), 1_000_000);
    latency.end(&latency.peers()[1], Some(9_000), 1_000_000);
    let ask = Ask {
        now_us: 1_000_000,
        ..Ask::default()
    };
    let counts = counted(&latency, std::iter::repeat_n(ask, 300));
    assert!(counts[0] > counts[2] && counts[2] > counts[1], "{counts:?}");
    let start = latency.peers()[2]
        .health
        .load
        .latency_us(1_000_000)
        .unwrap();
    assert!((4_900.0..5_100.0).contains(&start), "{start}");
}

#[test]
fn failover_peers_stand_in_only_while_all_others_are_down() {
    for algorithm in ALL {
        let peers = vec![
            peer(1, 100),
            peer(2, 100),
            Peer {
                is_failover: true,
                ..peer(3, 100)
            },
        ];
        let balancer = balancer(peers, algorithm);
        let own = counted(&balancer, (0..40).map(|at| hashed(at * 0x0500_0001)));
        assert_eq!(own[2], 0, "{algorithm:?}");
        put_out(&balancer.peers()[0]);
        assert_eq!(counted(&balancer, (0..9).map(hashed)), [0, 9, 0]);
        put_out(&balancer.peers()[1]);
        assert_eq!(counted(&balancer, (0..9).map(hashed)), [0, 0, 9]);
        assert!(balancer.is_healthy());
        put_out(&balancer.peers()[2]);
        assert!(balancer.pick(&Ask::default()).is_none());
        assert!(!balancer.is_healthy());
    }
}

#[test]
fn failover_peers_stand_in_for_a_group_under_its_threshold() {
    let standby = Peer {
        is_failover: true,
        ..peer(3, 1)
    };
    let balancer = with_threshold(vec![peer(1, 5), peer(2, 5), standby], 50.0);
    assert_eq!(counted(&balancer, asks(4)), [2, 2, 0]);
    put_out(&balancer.peers()[1]);
    assert_eq!(counted(&balancer, asks(4)), [0, 0, 4]);
}

#[test]
fn a_session_sticks_to_its_peer_while_that_is_in() {
    let balancer = balancer(
        vec![peer(1, 1), peer(2, 1), peer(3, 1)],
        Algorithm::StickySessions,
    );
    assert_eq!(counted(&balancer, asks(9)), [3, 3, 3]);
    let number = balancer.sticky_number(1).unwrap();
    assert_eq!(
        counted(&balancer, (0..9).map(|_| hashed(number))),
        [0, 9, 0]
    );
    put_out(&balancer.peers()[1]);
    let elsewhere = counted(&balancer, (0..8).map(|_| hashed(number)));
    assert_eq!(elsewhere, [4, 0, 4]);
}

#[test]
fn a_slow_peer_rests_and_comes_back() {
    let rule = SlowRule {
        factor: 3.0,
        pause_us: 30_000_000,
    };
    let balancer = balancer(
        vec![peer(1, 1), peer(2, 1), peer(3, 1)],
        Algorithm::RoundRobin,
    )
    .with_slow_rule(Some(rule));
    let mut now_us = 1_000_000;
    for _ in 0..10 {
        for (at, latency_us) in [20_000, 25_000, 400_000].into_iter().enumerate() {
            now_us += 500_000;
            balancer.end(&balancer.peers()[at], Some(latency_us), now_us);
        }
    }
    let at = |now_us| {
        move |_: usize| Ask {
            now_us,
            ..Ask::default()
        }
    };
    assert_eq!(counted(&balancer, (0..8).map(at(now_us))), [4, 4, 0]);
    assert_eq!(balancer.peers()[2].health.load.rests_total(), 1);
    assert!(balancer.peers()[2].health.is_available());
    assert_eq!(
        counted(&balancer, (0..9).map(at(now_us + 30_000_000))),
        [3, 3, 3]
    );
}

#[test]
fn slow_peers_serve_where_no_other_is_left_and_never_rest_all_at_once() {
    let rule = SlowRule {
        factor: 2.0,
        pause_us: 30_000_000,
    };
    let peers = vec![peer(1, 1), peer(2, 1), peer(3, 1), peer(4, 1)];
    let balancer = balancer(peers, Algorithm::RoundRobin).with_slow_rule(Some(rule));
    let mut now_us = 1_000_000;
    for _ in 0..20 {
        for (at, latency_us) in [1_000, 500_000, 600_000, 700_000].into_iter().enumerate() {
            now_us += 500_000;
            balancer.end(&balancer.peers()[at], Some(latency_us), now_us);
        }
    }
    let resting = balancer
        .peers()
        .iter()
        .filter(|peer| peer.health.load.rests(now_us));
    assert!(resting.count() <= 2);
    for at in 0..3 {
        put_out(&balancer.peers()[at]);
    }
    balancer.peers()[3]
        .health
        .load
        .rest_until(now_us + 1_000_000);
    let ask = Ask {
        now_us,
        ..Ask::default()
    };
    assert!(balancer.pick(&ask).is_some());
}
