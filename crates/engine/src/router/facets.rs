//! A long list of matchers under one host and path, divided by what they ask for beside these: a header's value or a server
//! name. Tables that tell tenants apart by a header have all their routes in one place.
//!
//! As in the index, hashes find candidates and every candidate is tested wholly.
use std::collections::HashMap;

use super::asked::Asked;
use super::index::{AsIs, hash_of};
use super::matcher::{HeaderValue, HostKind, Matcher};

/// A list is divided from this length on.
pub(super) const LONG: usize = 24;

type ByHash = HashMap<u64, Vec<u32>, std::hash::BuildHasherDefault<AsIs>>;

/// The parts of a long list, each in rank order.
#[derive(Debug, Default)]
pub(super) struct Facets {
    /// Those that ask for nothing by which they could be told apart.
    others: Vec<u32>,
    /// By folded name of a header, those that want one of its values.
    headers: Vec<(Box<str>, ByHash)>,
    /// By server name.
    snis: ByHash,
    /// All of `snis`: on clear text server names keep (almost) nobody out.
    with_sni: Vec<u32>,
    /// By port of the end that the client sees.
    ports: ByHash,
}

impl Facets {
    /// Divides a list in rank order.
    pub(super) fn build(ranks: &[u32], matchers: &[Matcher]) -> Self {
        let mut facets = Self::default();
        for &rank in ranks {
            facets.add(rank, &matchers[rank as usize]);
        }
        facets
    }

    fn add(&mut self, rank: u32, matcher: &Matcher) {
        let rest = matcher.rest.as_deref();
        let rules = rest.map_or(&[][..], |rest| &rest.headers);
        let is_plain = |value: &HeaderValue| matches!(value, HeaderValue::Equal(_));
        if let Some(rule) = rules.iter().find(|rule| rule.values.iter().all(is_plain)) {
            let mut named = self.headers.iter();
            let at = named.position(|(name, _)| *name == rule.folded_name);
            let at = at.unwrap_or_else(|| {
                self.headers
                    .push((rule.folded_name.clone(), ByHash::default()));
                self.headers.len() - 1
            });
            for value in &rule.values {
                if let HeaderValue::Equal(value) = value {
                    push(&mut self.headers[at].1, lowered_hash(value), rank);
                }
            }
            return;
        }
        let snis = rest.map_or(&[][..], |rest| &rest.snis);
        if snis.is_empty() || snis.iter().any(|(kind, _)| *kind != HostKind::Exact) {
            self.add_by_port(rank, matcher);
            return;
        }
        self.with_sni.push(rank);
        for (_, name) in snis {
            push(&mut self.snis, hash_of(name), rank);
        }
    }

    fn add_by_port(&mut self, rank: u32, matcher: &Matcher) {
        let rest = matcher.rest.as_deref();
        let ends = rest.map_or(&[][..], |rest| &rest.destinations);
        if ends.is_empty() || ends.iter().any(|end| end.port.is_none()) {
            self.others.push(rank);
            return;
        }
        for port in ends.iter().filter_map(|end| end.port) {
            push(&mut self.ports, hash_of(&port.to_le_bytes()), rank);
        }
    }

    /// Hands on every part in which there can be a match.
    pub(super) fn each(&self, asked: &Asked<'_>, mut part: impl FnMut(&[u32])) {
        part(&self.others);
        let input = asked.input;
        for (name, values) in &self.headers {
            input.headers.any(name, &mut |value| {
                if let Some(ranks) = values.get(&lowered_hash(value)) {
                    part(ranks);
                }
                false
            });
        }
        if !input.protocol.is_tls() {
            part(&self.with_sni);
        } else if let Some(sni) = asked.sni()
            && let Some(ranks) = self.snis.get(&hash_of(sni))
        {
            part(ranks);
        }
        if let Some(port) = asked.destination().port
            && let Some(ranks) = self.ports.get(&hash_of(&port.to_le_bytes()))
        {
            part(ranks);
        }
    }
}

/// Ranks come rising; one may come twice, for two of its values.
fn push(lists: &mut ByHash, hash: u64, rank: u32) {
    let list = lists.entry(hash).or_default();
    if list.last() != Some(&rank) {
        list.push(rank);
    }
}

fn lowered_hash(value: &[u8]) -> u64 {
    hash_of(&value.to_ascii_lowercase())
}
