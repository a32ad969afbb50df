//! What a process takes of the machine, read from `/proc`.

use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Memory of a process in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory {
    /// Resident set (`VmRSS`).
    pub rss: u64,
    /// Its anonymous part (`RssAnon`): what cannot be shared or dropped.
    pub anonymous: u64,
    /// The largest resident set that it has ever had (`VmHWM`).
    pub peak: u64,
}

impl Memory {
    /// Reads a process's memory; none when it has ended.
    pub fn of(process: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok()
        };
        Some(Self { rss: field("VmRSS")?, anonymous: field("RssAnon")?, peak: field("VmHWM")? })
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

/// Seconds of processor time that a process has had so far; none when it has ended.
pub fn processor_seconds(process: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    ticks(&stat).map(|ticks| f64::from(ticks) / TICKS)
}

/// Lets this process open as many files as it ever may: a connection takes one.
pub fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a process may raise its own limit");
}

/// Linux tells processor time in hundredths of a second, whatever its own clock does.
const TICKS: f64 = 100.0;

/// `utime` and `stime`, the 14th and 15th field; the second one, a name in parentheses, may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut field = || fields.next()?.parse::<u32>().ok();
    Some(field()? + field()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 12345";
        assert_eq!(ticks(stat), Some(300));
        assert!(processor_seconds(std::process::id()).is_some_and(|seconds| seconds < 60.0));
        assert!(Memory::of(std::process::id()).is_some_and(|memory| memory.peak >= memory.rss));
    }
}
