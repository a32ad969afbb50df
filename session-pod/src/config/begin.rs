//! Which configuration a process begins with: that of its file, or the one that was in force last. Pure.
//!
//! The file is written by whoever pushes, and may lag behind what was pushed: a mounted Secret changes up to a minute later. The
//! sender's hash has no order, so the store remembers which hashes were in force before: a file with one of these is old.

use session_api::ConfigPush;

/// What the store knows of configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The one that was in force last.
    pub last: Option<ConfigPush>,
    /// Hashes of those that were in force before it.
    pub former: Vec<String>,
}

/// What a process begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With what was in force last, if anything was.
    Kept(Option<ConfigPush>),
    /// With its file, which the store does not know yet.
    Given(ConfigPush),
}

/// Decides.
pub(crate) fn begin(given: Option<ConfigPush>, kept: Kept) -> Begin {
    let Kept { last, former } = kept;
    match (given, last) {
        (None, last) => Begin::Kept(last),
        (Some(given), Some(last)) if given.hash == last.hash || former.contains(&given.hash) => {
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

    #[test]
    fn a_file_is_in_force_unless_something_newer_was() {
        let kept = |last: &str, former: &[&str]| Kept {
            last: Some(push(last)),
            former: former.iter().map(|hash| (*hash).to_owned()).collect(),
        };
        let stays = |last: &str| Begin::Kept(Some(push(last)));
        assert_eq!(begin(None, Kept::default()), Begin::Kept(None));
        assert_eq!(begin(Some(push("a")), Kept::default()), Begin::Given(push("a")));
        assert_eq!(begin(None, kept("a", &[])), stays("a"));
        assert_eq!(begin(Some(push("a")), kept("a", &[])), stays("a"));
        assert_eq!(begin(Some(push("b")), kept("a", &[])), Begin::Given(push("b")), "it changed meanwhile");
        assert_eq!(begin(Some(push("a")), kept("c", &["b", "a"])), stays("c"), "the file lags behind");
        assert_eq!(begin(Some(push("d")), kept("c", &["b", "a"])), Begin::Given(push("d")));
    }
}
