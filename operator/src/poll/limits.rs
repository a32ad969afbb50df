//! The process's own limits.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Lets the process open as many files as it ever may: one connection per session is more than the usual 1,024. Goes out: how
/// many (None: no limit, or the limit could not be raised and stays as it is).
pub fn allow_many_connections() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Not being allowed to is no reason not to start: a small fleet needs no more.
    setrlimit(Resource::Nofile, limit).ok()?;
    limit.maximum
}
