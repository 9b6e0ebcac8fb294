//! Consumers: their groups, their own plugins, their prepared identity headers; credentials by what a request shows.
use std::sync::{Arc, OnceLock};

use twinplane_model::{ConfigTable, Consumer, Id};

use super::dangling;
use super::plugins::ScopedPlugins;
use crate::snapshot::{ConsumerEntry, Consumers, Fault, Index, KeyauthEntry};
use crate::text::Text;

/// Indexes all consumers.
pub(super) fn build(
    table: &ConfigTable,
    scoped: &mut ScopedPlugins,
    faults: &mut Vec<Fault>,
) -> Consumers {
    let mut groups: Index<&Id, Vec<Text>> = Index::default();
    for acl in &table.acls {
        groups
            .entry(&acl.consumer)
            .or_default()
            .push(Text::copy_from(acl.group.as_bytes()));
    }
    let mut consumers = Consumers::default();
    for row in &table.consumers {
        let entry = Arc::new(entry(
            row,
            groups.remove(&row.id).unwrap_or_default(),
            scoped,
        ));
        if let Some(username) = &row.username {
            consumers
                .by_username
                .insert(username.clone(), Arc::clone(&entry));
        }
        if let Some(custom_id) = &row.custom_id {
            consumers
                .by_custom_id
                .insert(custom_id.clone(), Arc::clone(&entry));
        }
        consumers.by_id.insert(Arc::clone(&row.id), entry);
    }
    for acl in table
        .acls
        .iter()
        .filter(|acl| !consumers.by_id.contains_key(&acl.consumer))
    {
        faults.push(dangling("acls", &acl.id, "consumer", &acl.consumer));
    }
    faults.extend(
        scoped
            .missing_consumers()
            .map(|(plugin, consumer)| dangling("plugins", plugin, "consumer", consumer)),
    );
    consumers
}

fn entry(row: &Consumer, groups: Vec<Text>, scoped: &mut ScopedPlugins) -> ConsumerEntry {
    let text = |value: &Option<Box<str>>| {
        value
            .as_ref()
            .map(|value| Text::copy_from(value.as_bytes()))
    };
    ConsumerEntry {
        model: row.clone(),
        id: Text::copy_from(row.id.as_bytes()),
        username: text(&row.username),
        custom_id: text(&row.custom_id),
        groups,
        plugins: scoped.of_consumer(&row.id),
        log_text: OnceLock::new(),
    }
}

/// Indexes key-auth credentials by key.
pub(super) fn keyauth(
    table: &ConfigTable,
    consumers: &Consumers,
    faults: &mut Vec<Fault>,
) -> Index<Box<[u8]>, KeyauthEntry> {
    let mut index = Index::default();
    for row in &table.keyauth_credentials {
        let Some(consumer) = consumers.by_id.get(&row.consumer) else {
            faults.push(dangling(
                "keyauth_credentials",
                &row.id,
                "consumer",
                &row.consumer,
            ));
            continue;
        };
        let Some(key) = &row.key else {
            faults.push(Fault {
                entity: "keyauth_credentials",
                id: Arc::clone(&row.id),
                message: "key: required".to_owned(),
            });
            continue;
        };
        // A payload carries the second of expiry in `ttl`, not a duration (vectors/plugins: key-auth with ttl).
        let expires_at = row.ttl.and_then(|ttl| u64::try_from(ttl).ok());
        let identifier = Text::copy_from(row.id.as_bytes());
        index.insert(
            key.as_bytes().into(),
            KeyauthEntry {
                id: Arc::clone(&row.id),
                identifier,
                consumer: Arc::clone(consumer),
                expires_at,
            },
        );
    }
    index
}
