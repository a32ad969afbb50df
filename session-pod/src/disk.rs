//! Free space of a directory's file system. Asks the system; decides nothing but whether it is above the floor.

use std::path::Path;

/// Bytes that an unprivileged process may still write there; none when the system does not say.
pub(crate) fn free_bytes(directory: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(directory).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether there is room. Coming back takes an eighth more than staying, so that it does not flap at the floor.
pub(crate) fn has_room(free: Option<u64>, floor: u64, had_room: bool) -> bool {
    let needed = if had_room { floor } else { floor.saturating_add(floor / 8) };
    free.is_none_or(|free| free >= needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_has_a_margin_on_the_way_back() {
        assert!(has_room(Some(100), 100, true));
        assert!(!has_room(Some(99), 100, true));
        assert!(!has_room(Some(100), 100, false));
        assert!(has_room(Some(112), 100, false));
        assert!(has_room(None, 100, false), "a file system that does not say is no reason to stop");
    }

    #[test]
    fn a_real_directory_has_free_space() {
        assert!(free_bytes(&std::env::temp_dir()).is_some_and(|free| free > 0));
        assert_eq!(free_bytes(Path::new("/no/such/directory")), None);
    }
}
