//! What a name leads to: addresses, and for a service record the port, weight and name that come with each.
use std::net::IpAddr;
use std::sync::Arc;

/// One address of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The address.
    pub address: IpAddr,
    /// What the service record says that led to it, if one did.
    pub service: Option<ServicePart>,
}

/// What a service record says beside the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePart {
    /// Its port, in place of a configured one.
    pub port: u16,
    /// Its weight, in place of a configured one; at least 1.
    pub weight: u32,
    /// The name that it leads to.
    pub name: Arc<str>,
}

impl From<IpAddr> for Found {
    fn from(address: IpAddr) -> Self {
        Self {
            address,
            service: None,
        }
    }
}

/// A service record as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceRecord {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    pub(crate) name: Arc<str>,
}

/// The records that count: those of the first priority, with at least 1 of weight, each once.
pub(crate) fn first_of(mut records: Vec<ServiceRecord>) -> Vec<ServiceRecord> {
    // A record for the root says that there is no such service (RFC 2782).
    records.retain(|record| !record.name.is_empty() && &*record.name != ".");
    let first = records.iter().map(|record| record.priority).min();
    records.retain(|record| Some(record.priority) == first);
    for record in &mut records {
        record.weight = record.weight.max(1);
    }
    records.sort_by(|one, other| (&one.name, one.port).cmp(&(&other.name, other.port)));
    records.dedup_by(|one, other| one.name == other.name && one.port == other.port);
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, name: &str) -> ServiceRecord {
        ServiceRecord {
            priority,
            weight,
            port: 80,
            name: name.into(),
        }
    }

    #[test]
    fn only_the_first_priority_counts_and_a_weight_of_zero_is_one() {
        let records = vec![
            record(20, 5, "c"),
            record(10, 0, "b"),
            record(10, 7, "a"),
            record(10, 9, "a"),
            record(5, 9, "."),
        ];
        let found = first_of(records);
        let found: Vec<_> = found
            .iter()
            .map(|record| (&*record.name, record.weight))
            .collect();
        assert_eq!(found, [("a", 7), ("b", 1)]);
    }
}
