//! What a process takes of the machine, read from `/proc`.

use std::time::Duration;

/// Memory of a process in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory {
    /// Resident set (`VmRSS`).
    pub rss: u64,
    /// Its anonymous part (`RssAnon`): what cannot be shared or dropped.
    pub anonymous: u64,
}

impl Memory {
    /// Reads a process's memory; none when it has ended.
    pub fn of(process: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok()
        };
        Some(Self { rss: field("VmRSS")?, anonymous: field("RssAnon")? })
    }

    /// Waits until the process has not grown or shrunk by more than 1 % for three seconds; gives the last reading.
    pub async fn settled(process: u32) -> Option<Self> {
        let mut last = Self::of(process)?;
        let mut quiet = 0;
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = Self::of(process)?;
            quiet = if now.rss.abs_diff(last.rss) * 100 <= last.rss { quiet + 1 } else { 0 };
            last = now;
            if quiet == 3 {
                break;
            }
        }
        Some(last)
    }
}
