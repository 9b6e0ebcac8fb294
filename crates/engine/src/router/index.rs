//! Which matchers can match a host and a path, without asking all of them.
//!
//! A matcher lies under each of its hosts (or under "any") together with each of its paths: the prefix itself, or the
//! bytes that everything begins with that a regex matches. A look-up asks for the request's host, the wildcards that cover
//! it and "any", each with those prefixes of the path whose length occurs there. Places are found by hash alone: two
//! texts of one hash share a place, and since every candidate is then tested wholly, that costs time only.
//!
//! Every list is in rank order, so that the first that matches in a list is its best.
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::asked::Asked;
use super::facets::{Facets, LONG};
use super::matcher::{HostKind, Matcher};
use super::texts::Texts;

/// Distinct long prefixes of one host that one look-up keeps before it tests them.
const HITS_KEPT: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Index {
    hosts: HashMap<u64, Lengths, BuildHasherDefault<AsIs>>,
    places: HashMap<u64, Place, BuildHasherDefault<AsIs>>,
    lists: Vec<List>,
    has_suffixes: bool,
    has_prefixes: bool,
}

/// Matchers of one place, the best of them left out.
#[derive(Debug)]
enum List {
    /// In rank order.
    Short(Vec<u32>),
    /// Divided further.
    Long(Box<Facets>),
}

/// Lengths of the paths under one host.
#[derive(Debug, Default)]
struct Lengths {
    /// Bit n: length n.
    short: u128,
    /// Those from 128 on, rising.
    long: Vec<u32>,
}

/// Matchers under one host and path.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The best.
    first: u32,
    /// Where the others are in `lists`, from 1; 0: there are none.
    others: u32,
}

impl Index {
    /// An index of matchers in rank order.
    pub(super) fn build(matchers: &[Matcher], texts: &Texts) -> Self {
        let mut index = Self::default();
        index.places.reserve(matchers.len());
        for (rank, matcher) in (0u32..).zip(matchers) {
            let hosts = matcher.hosts.as_slice();
            for host in hosts {
                index.has_suffixes |= host.kind == HostKind::Suffix;
                index.has_prefixes |= host.kind == HostKind::Prefix;
                index.add(
                    rank,
                    host_hash(host.kind, texts.get(host.text)),
                    matcher,
                    texts,
                );
            }
            if hosts.is_empty() {
                index.add(rank, host_hash(HostKind::Any, b""), matcher, texts);
            }
        }
        index.places.shrink_to_fit();
        index.hosts.shrink_to_fit();
        index.lists.shrink_to_fit();
        for list in &mut index.lists {
            match list {
                List::Short(ranks) if ranks.len() >= LONG => {
                    *list = List::Long(Box::new(Facets::build(ranks, matchers)));
                }
                List::Short(ranks) => ranks.shrink_to_fit(),
                List::Long(_) => {}
            }
        }
        index
    }

    fn add(&mut self, rank: u32, host: u64, matcher: &Matcher, texts: &Texts) {
        let paths = matcher.paths.as_slice();
        for path in paths {
            self.add_path(rank, host, texts.get(path.start()));
        }
        if paths.is_empty() {
            self.add_path(rank, host, b"");
        }
    }

    fn add_path(&mut self, rank: u32, host: u64, path: &[u8]) {
        self.hosts.entry(host).or_default().add(path.len());
        let mut hash = PrefixHash::of(host);
        let key = hash.at(path, path.len());
        let place = self.places.entry(key).or_insert(Place {
            first: rank,
            others: 0,
        });
        if place.first == rank {
            return;
        }
        if place.others == 0 {
            self.lists.push(List::Short(Vec::new()));
            place.others = u32::try_from(self.lists.len()).unwrap_or(u32::MAX);
        }
        // Ranks come rising; a matcher with two paths of one start comes twice.
        if let List::Short(list) = &mut self.lists[place.others as usize - 1]
            && list.last() != Some(&rank)
        {
            list.push(rank);
        }
    }

    /// The best rank among those that can match and pass `test`.
    pub(super) fn first(&self, asked: &Asked<'_>, test: impl Fn(u32) -> bool) -> Option<u32> {
        let mut search = Search {
            index: self,
            asked,
            path: asked.input.path,
            test,
            best: None,
            hits: [Place {
                first: 0,
                others: 0,
            }; HITS_KEPT],
            kept: 0,
        };
        let name = asked.host.name;
        search.under(host_hash(HostKind::Exact, name));
        if self.has_suffixes {
            for dot in memchr::memchr_iter(b'.', name) {
                search.under(host_hash(HostKind::Suffix, &name[dot..]));
            }
        }
        if self.has_prefixes {
            for dot in memchr::memchr_iter(b'.', name) {
                search.under(host_hash(HostKind::Prefix, &name[..=dot]));
            }
        }
        search.under(host_hash(HostKind::Any, b""));
        search.best
    }
}

impl Lengths {
    fn add(&mut self, length: usize) {
        if length < 128 {
            self.short |= 1 << length;
        } else if let Err(place) = self
            .long
            .binary_search_by(|known| (*known as usize).cmp(&length))
        {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            self.long.insert(place, length);
        }
    }

    /// Those up to `longest`, rising.
    fn up_to(&self, longest: usize) -> impl Iterator<Item = usize> {
        let mut left = if longest >= 127 {
            self.short
        } else {
            self.short & ((1 << (longest + 1)) - 1)
        };
        let short = std::iter::from_fn(move || {
            let length = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (length < 128).then_some(length)
        });
        let long = self.long.iter().map(|length| *length as usize);
        short.chain(long.take_while(move |length| *length <= longest))
    }
}

/// One look-up on its way.
struct Search<'a, F> {
    index: &'a Index,
    asked: &'a Asked<'a>,
    path: &'a [u8],
    test: F,
    best: Option<u32>,
    hits: [Place; HITS_KEPT],
    kept: usize,
}

impl<F: Fn(u32) -> bool> Search<'_, F> {
    /// Looks at the matchers under a host.
    fn under(&mut self, host: u64) {
        let Some(lengths) = self.index.hosts.get(&host) else {
            return;
        };
        let mut hash = PrefixHash::of(host);
        for length in lengths.up_to(self.path.len()) {
            if let Some(place) = self.index.places.get(&hash.at(self.path, length)) {
                if self.kept == HITS_KEPT {
                    self.settle();
                }
                self.hits[self.kept] = *place;
                self.kept += 1;
            }
        }
        self.settle();
    }

    /// Tests what was found, longest prefix first: it mostly wins and so spares the others their test.
    fn settle(&mut self) {
        for at in (0..self.kept).rev() {
            let place = self.hits[at];
            if self.improves(place.first) || place.others == 0 {
                continue;
            }
            let asked = self.asked;
            match &self.index.lists[place.others as usize - 1] {
                List::Short(ranks) => self.improve(ranks),
                List::Long(facets) => facets.each(asked, |ranks| self.improve(ranks)),
            }
        }
        self.kept = 0;
    }

    /// Takes the first of a list that matches, if it is better than what was found.
    fn improve(&mut self, ranks: &[u32]) {
        for &rank in ranks {
            if self.best.is_some_and(|best| rank >= best) || self.improves(rank) {
                return;
            }
        }
    }

    fn improves(&mut self, rank: u32) -> bool {
        let is_better = self.best.is_none_or(|best| rank < best) && (self.test)(rank);
        if is_better {
            self.best = Some(rank);
        }
        is_better
    }
}

/// Hashes of prefixes of one text, asked by rising length.
struct PrefixHash {
    state: u64,
    taken: usize,
}

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
const FINISH: u64 = 0xD6E8_FEB8_6659_FD93;

fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    {
        (product as u64) ^ (product >> 64) as u64
    }
}

fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

impl PrefixHash {
    const fn of(seed: u64) -> Self {
        Self {
            state: seed,
            taken: 0,
        }
    }

    /// The hash of the first `length` bytes.
    fn at(&mut self, text: &[u8], length: usize) -> u64 {
        while self.taken + 8 <= length {
            self.state = fold(
                self.state ^ word(&text[self.taken..self.taken + 8]),
                MULTIPLIER,
            );
            self.taken += 8;
        }
        let tail = word(&text[self.taken..length]);
        fold(self.state ^ tail, FINISH ^ length as u64)
    }
}

/// The hash of a whole text.
pub(super) fn hash_of(text: &[u8]) -> u64 {
    PrefixHash::of(MULTIPLIER).at(text, text.len())
}

fn host_hash(kind: HostKind, name: &[u8]) -> u64 {
    PrefixHash::of(FINISH.rotate_left(17 * kind as u32)).at(name, name.len())
}

/// Keys are hashes already.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        debug_assert!(false, "keys are numbers");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
