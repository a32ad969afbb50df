//! What the audit log tells of the operator's work. Pure.
//!
//! Comes in: entries. Goes out: counts and delays.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use system_tests::cluster::AuditEntry;

/// Half of the values are not above the first, 99 of 100 not above the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Percentiles {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

/// How often a pod of this batch was created, or tried to.
pub(super) fn pod_posts(entries: &[AuditEntry], batch: &str) -> usize {
    entries.iter().filter(|entry| is_pod_post(entry) && is_of(entry, batch)).count()
}

/// Writes to pods of any kind.
pub(super) fn pod_writes<'e>(entries: impl Iterator<Item = &'e AuditEntry>) -> usize {
    entries.filter(|entry| entry.writes() && entry.resource == "pods").count()
}

/// From the creation of each session of a batch to its first pod's.
///
/// # Panics
/// When there are none.
pub(super) fn delays(entries: &[AuditEntry], batch: &str) -> Percentiles {
    let of_batch = || entries.iter().filter(|entry| is_of(entry, batch));
    let created = of_batch().filter(|entry| entry.resource == "whatsappsessions" && entry.verb == "create");
    let created: HashMap<&str, Timestamp> =
        created.map(|entry| (entry.name.as_str(), received(entry))).collect();
    let mut delays = BTreeMap::new();
    for post in of_batch().filter(|entry| is_pod_post(entry)) {
        if let Some(created) = created.get(post.name.as_str()) {
            let delay = received(post).duration_since(*created);
            delays.entry(post.name.as_str()).or_insert_with(|| delay.try_into().unwrap_or_default());
        }
    }
    percentiles(delays.into_values().collect())
}

/// How often what was asked, most frequent first: `create pods`, `patch whatsappsessions/status` …
pub(super) fn by_kind<'e>(entries: impl Iterator<Item = &'e AuditEntry>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries.filter(|entry| entry.verb != "watch") {
        let slash = if entry.subresource.is_empty() { "" } else { "/" };
        let kind = format!("{} {}{slash}{}", entry.verb, entry.resource, entry.subresource);
        *counts.entry(kind).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn is_of(entry: &AuditEntry, batch: &str) -> bool {
    entry.name.strip_prefix(batch).is_some_and(|rest| rest.starts_with('-'))
}

fn is_pod_post(entry: &AuditEntry) -> bool {
    entry.resource == "pods" && entry.subresource.is_empty() && entry.verb == "create"
}

fn received(entry: &AuditEntry) -> Timestamp {
    entry.received.parse().expect("a time in the audit log")
}

fn percentiles(mut values: Vec<Duration>) -> Percentiles {
    values.sort_unstable();
    assert!(!values.is_empty(), "something was measured");
    let at = |share: usize| values[(values.len() - 1) * share / 100];
    Percentiles { p50: at(50), p99: at(99) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(verb: &str, resource: &str, name: &str, second: u8) -> AuditEntry {
        AuditEntry {
            user: String::new(),
            user_agent: String::new(),
            verb: verb.to_owned(),
            group: String::new(),
            resource: resource.to_owned(),
            subresource: String::new(),
            namespace: "n".to_owned(),
            name: name.to_owned(),
            code: 201,
            uri: String::new(),
            received: format!("2026-01-01T00:00:{second:02}.5Z"),
            opened: false,
            id: String::new(),
        }
    }

    #[test]
    fn the_first_post_of_a_sessions_pod_counts_for_the_delay_and_every_one_for_the_number() {
        let entries = [
            entry("create", "whatsappsessions", "a-1", 1),
            entry("create", "whatsappsessions", "b-1", 1),
            entry("create", "pods", "a-1", 3),
            entry("create", "pods", "a-1", 9),
            entry("get", "pods", "a-1", 2),
        ];
        assert_eq!((pod_posts(&entries, "a"), pod_posts(&entries, "b")), (2, 0));
        assert_eq!(delays(&entries, "a").p50, Duration::from_secs(2));
        assert_eq!(pod_writes(entries.iter()), 2);
        assert_eq!(by_kind(entries.iter())[0].1, 2);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values = (1..=100).map(Duration::from_millis).collect();
        let expected = Percentiles { p50: Duration::from_millis(50), p99: Duration::from_millis(99) };
        assert_eq!(percentiles(values), expected);
        assert_eq!(percentiles(vec![Duration::from_secs(7)]).p99, Duration::from_secs(7));
    }
}
