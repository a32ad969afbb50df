//! What the end of a connection means: which ends are terminal, what the status says of them, how soon to try again. Pure.

use session_api::{Reason, SessionState};

/// An end after which the session does not reconnect by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The phone (or WhatsApp) removed the device.
    Removed {
        /// WhatsApp has locked the account.
        locked: bool,
    },
    /// The session itself asked to be removed.
    LoggedOutByUs,
    /// Another client uses the same credentials.
    Replaced,
    /// WhatsApp has banned the account.
    Banned {
        /// Until when, as RFC 3339 in UTC; none when WhatsApp does not say.
        until: Option<String>,
        /// WhatsApp's number for the cause.
        cause: Option<i32>,
    },
    /// WhatsApp refuses this client version.
    Outdated,
    /// The account demands a passkey to link a device.
    PasskeyRequired,
    /// WhatsApp refuses the connection for another reason that does not pass by itself.
    Refused {
        /// WhatsApp's number.
        code: i32,
    },
}

impl Ending {
    /// The terminal state that it leads to, and the words for it.
    pub(crate) fn verdict(&self) -> (SessionState, Reason) {
        let (state, code, message) = match self {
            Self::Removed { locked: false } => (
                SessionState::LoggedOut,
                "logged_out",
                "this device was removed from the account. Pair again to go on".to_owned(),
            ),
            Self::Removed { locked: true } => (
                SessionState::LoggedOut,
                "account_locked",
                "WhatsApp has locked the account and removed this device. Unlock it on the phone, then pair again"
                    .to_owned(),
            ),
            Self::LoggedOutByUs => (
                SessionState::LoggedOut,
                "logged_out",
                "the session was logged out on request. Pair again to go on".to_owned(),
            ),
            Self::Replaced => (
                SessionState::Replaced,
                "replaced",
                "another client took the connection over with the same credentials. Stop it, then start pairing: \
                 the session takes the connection back"
                    .to_owned(),
            ),
            Self::Banned { until, cause } => (SessionState::Banned, "banned", banned(until.as_deref(), *cause)),
            Self::Outdated => (
                SessionState::Outdated,
                "outdated",
                "WhatsApp refuses this client version. Update WARest, or pin a newer version with WAREST_CLIENT_VERSION"
                    .to_owned(),
            ),
            Self::PasskeyRequired => (
                SessionState::PasskeyRequired,
                "passkey_required",
                "this account demands a passkey to link a device, which WARest cannot give. Turn it off in the phone's settings, then start pairing"
                    .to_owned(),
            ),
            Self::Refused { code } => (
                SessionState::Failed,
                "connection_refused",
                format!("WhatsApp refuses the connection (code {code}). Start pairing to try again"),
            ),
        };
        (state, Reason { code: code.to_owned(), message })
    }
}

fn banned(until: Option<&str>, cause: Option<i32>) -> String {
    let until = until.map_or_else(String::new, |until| format!(" until {until}"));
    let cause = cause.map_or_else(String::new, |cause| format!(" (cause {cause})"));
    format!("WhatsApp has banned the account{until}{cause}. Start pairing to try again")
}

/// Pause before a client that ended without a terminal reason is built anew, milliseconds.
pub(crate) fn restart_pause(failures: u32) -> u64 {
    if failures == 0 { 0 } else { (500_u64 << failures.min(20)).min(60_000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_a_state_of_its_own() {
        let cases = [
            (Ending::Removed { locked: false }, SessionState::LoggedOut, "logged_out"),
            (Ending::Removed { locked: true }, SessionState::LoggedOut, "account_locked"),
            (Ending::LoggedOutByUs, SessionState::LoggedOut, "logged_out"),
            (Ending::Replaced, SessionState::Replaced, "replaced"),
            (Ending::Banned { until: None, cause: None }, SessionState::Banned, "banned"),
            (Ending::Outdated, SessionState::Outdated, "outdated"),
            (Ending::PasskeyRequired, SessionState::PasskeyRequired, "passkey_required"),
            (Ending::Refused { code: 418 }, SessionState::Failed, "connection_refused"),
        ];
        for (ending, state, code) in cases {
            let (found, reason) = ending.verdict();
            assert_eq!((found, reason.code.as_str()), (state, code), "{ending:?}");
            assert!(found.is_terminal());
        }
    }

    #[test]
    fn a_ban_says_until_when() {
        let ending = Ending::Banned { until: Some("2026-11-23T10:00:00Z".into()), cause: Some(104) };
        assert_eq!(
            ending.verdict().1.message,
            "WhatsApp has banned the account until 2026-11-23T10:00:00Z (cause 104). Start pairing to try again"
        );
    }

    #[test]
    fn restarts_slow_down_to_a_minute() {
        assert_eq!([0, 1, 2, 3, 99].map(restart_pause), [0, 1_000, 2_000, 4_000, 60_000]);
    }
}
