//! Consumers: their groups, their own plugins, their prepared identity headers; credentials by what a request shows.
use std::sync::{Arc, OnceLock};

use twinplane_model::{ConfigTable, Consumer, Id};

use super::dangling;
use super::plugins::ScopedPlugins;
use crate::chain::OverlayLink;
use crate::snapshot::{ConsumerEntry, Consumers, Fault, Index, KeyauthEntry};
use crate::text::Text;

const MEMBERS: &str = "consumer_group_consumers";

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
    let members = members(table, faults);
    let mut consumers = Consumers::default();
    for row in &table.consumers {
        let entry = Arc::new(entry(
            row,
            groups.remove(&row.id).unwrap_or_default(),
            scoped.of_consumer(&row.id, members.get(&row.id).map_or(&[], Vec::as_slice)),
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
    for row in &table.consumer_group_consumers {
        if !consumers.by_id.contains_key(&row.consumer) {
            faults.push(dangling(MEMBERS, &row.id, "consumer", &row.consumer));
        }
    }
    let is_known = |id: &Id| table.consumer_groups.iter().any(|group| group.id == *id);
    faults.extend(
        scoped
            .groups()
            .filter(|(_, group)| !is_known(group))
            .map(|(plugin, group)| dangling("plugins", plugin, "consumer_group", group)),
    );
    faults.extend(
        scoped
            .missing_consumers()
            .map(|(plugin, consumer)| dangling("plugins", plugin, "consumer", consumer)),
    );
    consumers
}

// The groups of each consumer, by the names of the groups.
fn members<'a>(table: &'a ConfigTable, faults: &mut Vec<Fault>) -> Index<&'a Id, Vec<&'a Id>> {
    let names: Index<&Id, &str> = table
        .consumer_groups
        .iter()
        .map(|group| (&group.id, &*group.name))
        .collect();
    let mut members: Index<&Id, Vec<&Id>> = Index::default();
    for row in &table.consumer_group_consumers {
        if names.contains_key(&row.consumer_group) {
            let groups = members.entry(&row.consumer).or_default();
            groups.push(&row.consumer_group);
        } else {
            let group = &row.consumer_group;
            faults.push(dangling(MEMBERS, &row.id, "consumer_group", group));
        }
    }
    for groups in members.values_mut() {
        groups.sort_by_key(|group| names.get(*group).copied());
    }
    members
}

fn entry(row: &Consumer, groups: Vec<Text>, plugins: Box<[OverlayLink]>) -> ConsumerEntry {
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
        plugins,
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
