//! Which configuration a process begins with: that of its file, or the one that was in force last. Pure.
//!
//! The file is written by whoever pushes, before it pushes, and is mounted afresh for every pod: there it is at least as new as
//! what was pushed to any pod before. In a pod that runs it lags behind what is pushed to that pod, in a cluster up to a minute.
//! The sender's hash has no order, so the store remembers which hashes were in force before: a file with one of these is old.
//! An operator that did not hear of the last process knows too old an epoch: if the configuration was changed back meanwhile, the
//! new pod begins with what was pushed to that process, proxy and webhooks included, until the operator pushes.

use session_api::ConfigPush;

/// What the store knows of configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The one that was in force last.
    pub last: Option<ConfigPush>,
    /// Writer epoch of the process that took it, or of a later one.
    pub taken_in: u64,
    /// Hashes of those that were in force before it.
    pub former: Vec<String>,
}

/// What a process begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With what was in force last, if anything was.
    Kept(Option<ConfigPush>),
    /// With its file, which the store does not know yet, or not as the newest.
    Given(ConfigPush),
}

/// Decides. `known` is the newest writer epoch that was known when the pod was made: what was taken up to then was taken in
/// another pod, perhaps by a former session of the volume.
pub(crate) fn begin(given: Option<ConfigPush>, kept: Kept, known: u64) -> Begin {
    let Kept { last, taken_in, former } = kept;
    match (given, last) {
        (None, last) => Begin::Kept(last),
        (Some(given), Some(last)) if given.hash == last.hash => Begin::Kept(Some(last)),
        (Some(given), Some(last)) if taken_in > known && former.contains(&given.hash) => {
            Begin::Kept(Some(last))
        }
        (Some(given), _) => Begin::Given(given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(hash: &str) -> ConfigPush {
        ConfigPush { hash: hash.into(), ..ConfigPush::default() }
    }

    fn kept(last: &str, taken_in: u64, former: &[&str]) -> Kept {
        let former = former.iter().map(|hash| (*hash).to_owned()).collect();
        Kept { last: Some(push(last)), taken_in, former }
    }

    fn stays(last: &str) -> Begin {
        Begin::Kept(Some(push(last)))
    }

    #[test]
    fn a_file_is_in_force_unless_something_newer_was() {
        let begins = |given: Option<&str>, kept| begin(given.map(push), kept, 0);
        assert_eq!(begins(None, Kept::default()), Begin::Kept(None));
        assert_eq!(begins(Some("a"), Kept::default()), Begin::Given(push("a")));
        assert_eq!(begins(None, kept("a", 1, &[])), stays("a"));
        assert_eq!(begins(Some("a"), kept("a", 1, &[])), stays("a"));
        assert_eq!(begins(Some("b"), kept("a", 1, &[])), Begin::Given(push("b")), "it changed meanwhile");
        assert_eq!(begins(Some("a"), kept("c", 1, &["b", "a"])), stays("c"), "the file lags behind");
        assert_eq!(begins(Some("d"), kept("c", 1, &["b", "a"])), Begin::Given(push("d")));
    }

    #[test]
    fn a_new_pods_file_is_newer_than_what_another_pod_was_given() {
        let former = ["b", "a"];
        assert_eq!(begin(Some(push("a")), kept("c", 4, &former), 4), Begin::Given(push("a")), "reverted");
        assert_eq!(begin(Some(push("a")), kept("c", 3, &former), 4), Begin::Given(push("a")));
        assert_eq!(begin(Some(push("c")), kept("c", 4, &former), 4), stays("c"));
        assert_eq!(begin(None, kept("c", 4, &former), 4), stays("c"));
        assert_eq!(begin(Some(push("a")), kept("c", 5, &former), 4), stays("c"), "pushed to this pod");
    }
}
