//! What a tally knows, in every order in which a store may hear and answer.
use super::*;
use crate::limiter::store::{CounterStores, StorePlace};

fn tally() -> Arc<Tally> {
    let stores = CounterStores::default();
    let store = stores.at(StorePlace {
        host: "a".into(),
        port: 1,
        timeout_ms: 1,
        username: None,
        password: None,
        database: 0,
        tls: None,
    });
    stores.tally(&store, 1_000_000, &Arc::default())
}

fn at(second: u64) -> Moment {
    Moment {
        now_us: second * 1_000_000,
        wall_us: second * 1_000_000,
    }
}

fn limit(period: Period, requests: f64) -> Limit {
    Limit { period, requests }
}

const LIMITS: [Limit; 2] = [
    Limit {
        period: Period::Minute,
        requests: 5.0,
    },
    Limit {
        period: Period::Hour,
        requests: 50.0,
    },
];

fn counted(before: &[u64], is_added: bool) -> Counted {
    Counted {
        before: before.to_vec(),
        is_added,
    }
}

fn left(uses: &Uses) -> Vec<f64> {
    uses.iter().map(|found| found.remaining).collect()
}

// Opens the windows as the store does where nothing had been counted, and takes so many requests.
fn opened(tally: &Tally, key: Key, limits: &[Limit], moment: Moment, requests: usize) {
    let none = vec![0; limits.len()];
    assert!(tally.settle(key, limits, moment, &counted(&none, true)).0);
    for _ in 1..requests {
        assert!(tally.take(key, limits, moment).expect("known").0);
    }
}

#[test]
fn an_unknown_window_is_asked_for_and_a_known_one_is_not() {
    let tally = tally();
    let key = Key::shared(&[b"a"]);
    assert!(tally.take(key, &LIMITS, at(600)).is_none());
    let (passed, uses) = tally.settle(key, &LIMITS, at(600), &counted(&[2, 30], true));
    assert!(passed);
    assert_eq!(left(&uses), [3.0, 20.0]);
    let (passed, uses) = tally.take(key, &LIMITS, at(601)).expect("known");
    assert!(passed);
    assert_eq!(left(&uses), [2.0, 19.0]);
    assert!(tally.take(key, &LIMITS, at(602)).expect("known").0);
    assert!(!tally.take(key, &LIMITS, at(603)).expect("known").0);
    assert!(tally.take(key, &LIMITS, at(660)).is_none(), "a new minute");
}

#[test]
fn a_new_second_opens_no_minute_that_is_spent_here() {
    let tally = tally();
    let key = Key::shared(&[b"a"]);
    let limits = [limit(Period::Second, 5.0), limit(Period::Minute, 10.0)];
    opened(&tally, key, &limits, at(600), 5);
    assert!(tally.take(key, &limits, at(601)).is_none(), "a new second");
    // The store has been asked for one, and not been told of four.
    let (passed, uses) = tally.settle(key, &limits, at(601), &counted(&[0, 1], true));
    assert!(passed);
    assert_eq!(left(&uses), [5.0, 5.0]);
    for _ in 1..5 {
        assert!(tally.take(key, &limits, at(601)).expect("known").0);
    }
    let (passed, uses) = tally
        .take(key, &limits, at(602))
        .expect("the minute is known");
    assert!(!passed);
    assert_eq!(left(&uses), [5.0, 0.0]);
    assert!(tally.take(key, &limits, at(660)).is_none(), "a new minute");
}

#[test]
fn what_the_store_lets_pass_is_refused_where_the_rest_is_spent_here() {
    let tally = tally();
    let key = Key::shared(&[b"a"]);
    let limits = [limit(Period::Second, 5.0), limit(Period::Minute, 6.0)];
    opened(&tally, key, &limits, at(600), 5);
    // Three ask at once in a new second, for the one that is left of the minute.
    for _ in 0..3 {
        assert!(tally.take(key, &limits, at(601)).is_none());
    }
    assert!(
        tally
            .settle(key, &limits, at(601), &counted(&[0, 1], true))
            .0
    );
    for before in [[1, 2], [2, 3]] {
        let (passed, uses) = tally.settle(key, &limits, at(601), &counted(&before, true));
        assert!(!passed);
        assert_eq!(left(&uses), [4.0, 0.0], "{before:?}");
    }
    // The store has counted two in the minute that were refused: of the four untold it is told two.
    let untold = tally.untold(601);
    assert_eq!(untold.len(), 1);
    assert_eq!((untold[0].period, untold[0].amount), (Period::Minute, 2));
}

#[test]
fn answers_that_come_in_another_order_refuse_nobody() {
    let tally = tally();
    let key = Key::shared(&[b"a"]);
    let limits = [limit(Period::Second, 2.0)];
    assert!(tally.settle(key, &limits, at(600), &counted(&[1], true)).0);
    assert!(tally.settle(key, &limits, at(600), &counted(&[0], true)).0);
    assert!(!tally.take(key, &limits, at(600)).expect("known").0);
    assert!(!tally.settle(key, &limits, at(600), &counted(&[2], false)).0);
}

#[test]
fn what_the_store_is_told_counts_once() {
    let tally = tally();
    let key = Key::shared(&[b"a"]);
    opened(&tally, key, &LIMITS, at(600), 3);
    let untold = tally.untold(601);
    assert_eq!(untold.len(), 2);
    assert!(
        untold
            .iter()
            .all(|window| window.amount == 2 && window.key == key)
    );
    assert_eq!(tally.untold(601), [], "on its way");
    // One more comes while the store is being told; others have counted one.
    assert!(tally.take(key, &LIMITS, at(601)).expect("open").0);
    tally.told(&untold, &counted(&[2, 2], true));
    let (passed, uses) = tally.take(key, &LIMITS, at(602)).expect("open");
    assert!(
        !passed,
        "one asked, two told, one of others, one untold: {uses:?}"
    );
    let untold = tally.untold(602);
    assert!(untold.iter().all(|window| window.amount == 1));
    tally.keep(&untold);
    assert_eq!(tally.untold(602), untold, "kept for the next visit");
}

#[test]
fn who_asks_while_the_store_is_told_learns_each_count_once_in_either_order() {
    let limits = [limit(Period::Second, 50.0), limit(Period::Minute, 50.0)];
    for is_told_first in [false, true] {
        let tally = tally();
        let key = Key::shared(&[b"a"]);
        opened(&tally, key, &limits, at(600), 4);
        let untold = tally.untold(600);
        let second = at(601);
        assert!(tally.take(key, &limits, second).is_none());
        // The store has counted one that was asked for, and three are on their way.
        let (asked, told) = if is_told_first { (4, 1) } else { (1, 2) };
        let (passed, uses) = tally.settle(key, &limits, second, &counted(&[0, asked], true));
        assert!(passed);
        assert_eq!(left(&uses), [50.0, 46.0], "told first: {is_told_first}");
        let before: Vec<u64> = untold
            .iter()
            .map(|window| {
                if window.period == Period::Minute {
                    told
                } else {
                    1
                }
            })
            .collect();
        tally.told(&untold, &counted(&before, true));
        let (_, uses) = tally.take(key, &limits, second).expect("known");
        assert_eq!(left(&uses), [49.0, 45.0], "told first: {is_told_first}");
    }
}

#[test]
fn what_may_have_been_counted_is_not_told_again_and_stays_counted_here() {
    let tally = tally();
    let key = Key::shared(&[b"a"]);
    let limits = [limit(Period::Second, 5.0), limit(Period::Minute, 5.0)];
    opened(&tally, key, &limits, at(600), 5);
    assert_eq!(tally.untold(600).len(), 2, "sent, and no answer came");
    assert_eq!(tally.untold(601), []);
    assert!(!tally.take(key, &limits, at(601)).expect("known").0);
    // Neither does a store that has not counted them open the minute.
    let (passed, uses) = tally.settle(key, &limits, at(601), &counted(&[0, 1], true));
    assert!(!passed);
    assert_eq!(left(&uses), [5.0, 0.0]);
}

#[test]
fn a_request_that_the_store_may_have_counted_is_counted_here_and_not_told() {
    for may_be_told in [false, true] {
        let tally = tally();
        let key = Key::shared(&[b"a"]);
        let take = || tally.take_alone(key, &LIMITS[..1], at(600), may_be_told);
        let (passed, uses) = take();
        assert!(passed);
        assert_eq!(left(&uses), [5.0]);
        assert_eq!(left(&take().1), [4.0]);
        assert_eq!(tally.untold(600).len(), usize::from(!may_be_told));
        for _ in 0..3 {
            assert!(take().0);
        }
        assert!(!take().0);
    }
}

#[test]
fn a_window_that_is_over_is_not_told() {
    let tally = tally();
    let key = Key::shared(&[b"a"]);
    opened(&tally, key, &LIMITS[..1], at(600), 2);
    tally.take_alone(key, &LIMITS[..1], at(660), true);
    assert_eq!(tally.untold(660), []);
}

#[test]
fn what_is_noted_is_bounded_however_many_names_come() {
    let limiter = Arc::new(Limiter::with_entries_max(512));
    let stores = CounterStores::default();
    let store = stores.at(tally().store.place.clone());
    let tally = stores.tally(&store, 1_000_000, &limiter);
    for name in 0..20_000_u32 {
        let key = Key::shared(&[&name.to_be_bytes()]);
        tally.take_alone(key, &LIMITS[..1], at(600), false);
    }
    assert!(limiter.entries() <= 512);
    assert!(limiter.evicted() > 10_000);
    let noted: usize = limiter
        .shards
        .iter()
        .map(|shard| crate::limiter::lock(shard).noted.len())
        .sum();
    assert!(noted <= 2 * 512, "{noted}");
    assert!(tally.untold(600).len() <= 512);
}
