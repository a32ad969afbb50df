//! When a session's process is started again after it ended.
//!
//! Comes in: how it ended and how long it ran. Goes out: how long to wait, and what people are told. Pure.

use std::time::Duration;

use session_api::Reason;

/// First wait after a crash; it doubles with each one.
pub const FIRST: Duration = Duration::from_secs(1);
/// Longest wait.
pub const LONGEST: Duration = Duration::from_mins(1);
/// A process that ran so long begins anew at [`FIRST`].
pub const STABLE: Duration = Duration::from_mins(1);
/// Wait for another process to let go of the volume.
pub const LOCKED: Duration = Duration::from_secs(2);

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It exited by itself.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// It could not be started: the system's words.
    NotStarted(String),
    /// It never told its address, and was ended for that.
    Silent,
}

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// When the next process is started.
    pub after: Duration,
    /// Whether somebody has to act before that can help.
    pub failed: bool,
    /// What people are told.
    pub reason: Reason,
}

/// How often a process ended in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    crashes: u32,
}

impl Backoff {
    /// Decides, and counts.
    pub fn after(&mut self, exit: &Exit, ran: Duration) -> Next {
        if ran >= STABLE {
            self.crashes = 0;
        }
        let (code, message, failed) = told(exit);
        let after = match exit {
            Exit::Code(75) => LOCKED,
            Exit::Code(64) | Exit::NotStarted(_) => LONGEST,
            Exit::Code(_) | Exit::Signal(_) | Exit::Silent => {
                let wait = FIRST.saturating_mul(2_u32.saturating_pow(self.crashes)).min(LONGEST);
                self.crashes = self.crashes.saturating_add(1);
                wait
            }
        };
        Next { after, failed, reason: Reason { code: code.to_owned(), message } }
    }
}

fn told(exit: &Exit) -> (&'static str, String, bool) {
    match exit {
        Exit::Code(64) => {
            let told = "the session program refuses its configuration: the gateway's log says which setting";
            ("bad_configuration", told.to_owned(), true)
        }
        Exit::Code(75) => {
            let told = "another process uses the session's volume: it is waited for";
            ("volume_in_use", told.to_owned(), false)
        }
        Exit::Code(0) => {
            ("process_ended", "the session's process ended: a new one is started".to_owned(), false)
        }
        Exit::Code(code) => (
            "process_crashed",
            format!("the session's process ended with exit code {code}: it is started again"),
            false,
        ),
        Exit::Signal(signal) => (
            "process_crashed",
            format!("signal {signal} ended the session's process: it is started again"),
            false,
        ),
        Exit::NotStarted(why) => (
            "cannot_start",
            format!("the session program cannot be started ({why}): check SESSION_POD_BIN"),
            true,
        ),
        Exit::Silent => {
            let told = "the session's process did not open its port in time: it is started again";
            ("process_silent", told.to_owned(), false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(backoff: &mut Backoff, exit: &Exit, times: usize) -> Vec<u64> {
        (0..times).map(|_| backoff.after(exit, Duration::ZERO).after.as_secs()).collect()
    }

    #[test]
    fn crashes_wait_longer_each_time() {
        let mut backoff = Backoff::default();
        assert_eq!(waits(&mut backoff, &Exit::Signal(9), 8), [1, 2, 4, 8, 16, 32, 60, 60]);
        let next = backoff.after(&Exit::Code(1), STABLE);
        assert_eq!((next.after, next.failed), (FIRST, false), "a stable run forgives");
        assert_eq!(waits(&mut Backoff { crashes: u32::MAX }, &Exit::Silent, 1), [60]);
    }

    #[test]
    fn what_no_restart_helps_is_failed() {
        let mut backoff = Backoff::default();
        for exit in [Exit::Code(64), Exit::NotStarted("no such file".to_owned())] {
            let next = backoff.after(&exit, Duration::ZERO);
            assert_eq!((next.after, next.failed), (LONGEST, true));
        }
        assert_eq!(backoff, Backoff::default(), "and counts as no crash");
    }

    #[test]
    fn a_volume_in_use_is_waited_for() {
        let mut backoff = Backoff::default();
        assert_eq!(waits(&mut backoff, &Exit::Code(75), 4), [2, 2, 2, 2]);
        assert_eq!(backoff.after(&Exit::Code(75), Duration::ZERO).reason.code, "volume_in_use");
    }
}
