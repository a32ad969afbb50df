//! What starting and stopping to pair means in each situation, and the codes that are shown meanwhile. Pure.

use session_api::{PairingCode, QrCode, SessionState};

use crate::store::Link;

/// What `POST /v1/pairing` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Pairing is under way, or starts now.
    Pair,
    /// The credentials are dead or lost: they are deleted first, then pairing starts.
    WipeFirst,
    /// The credentials are good: the session connects with them again.
    Reconnect,
    /// It is paired and connected, or about to be.
    AlreadyPaired,
    /// The store is broken; pairing would not help.
    Broken,
}

/// Decides what starting to pair means.
pub(crate) fn start(state: SessionState, link: &Link, credentials_lost: bool, store_broken: bool) -> Start {
    if store_broken {
        return Start::Broken;
    }
    if credentials_lost {
        return Start::WipeFirst;
    }
    match link {
        Link::Removed | Link::Wiping => Start::WipeFirst,
        Link::Unpaired => Start::Pair,
        Link::Replaced { .. } => Start::Reconnect,
        Link::Paired { .. } if state.is_terminal() => Start::Reconnect,
        Link::Paired { .. } => Start::AlreadyPaired,
    }
}

/// Whether `DELETE /v1/pairing` has something to stop (or has stopped it already).
pub(crate) fn can_stop(state: SessionState, link: &Link) -> bool {
    *link == Link::Unpaired
        && matches!(state, SessionState::Starting | SessionState::AwaitingPairing | SessionState::QrExpired)
}

/// The codes that wait for a phone.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Codes {
    /// The QR code on show.
    pub qr: Option<QrCode>,
    /// The pairing code on show.
    pub code: Option<PairingCode>,
    /// The QR codes of this connection are used up; a pairing code keeps it alive.
    pub exhausted: bool,
}

impl Codes {
    /// Nothing is on show any more.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets what has run out. Says whether only a new connection brings a new code.
    pub(crate) fn expire(&mut self, now: u64) -> bool {
        self.qr.take_if(|qr| qr.expires_at <= now);
        self.code.take_if(|code| code.expires_at <= now);
        self.exhausted && self.code.is_none()
    }

    /// The clock was set by so many milliseconds.
    pub(crate) fn clock_set(&mut self, by: i64) {
        let qr = self.qr.iter_mut().map(|qr| &mut qr.expires_at);
        let code = self.code.iter_mut().map(|code| &mut code.expires_at);
        qr.chain(code).for_each(|at| *at = at.saturating_add_signed(by));
    }

    /// When the next one runs out.
    pub(crate) fn wake_at(&self) -> Option<u64> {
        let qr = self.qr.as_ref().map(|qr| qr.expires_at);
        let code = self.code.as_ref().map(|code| code.expires_at);
        qr.into_iter().chain(code).min()
    }
}

impl std::fmt::Debug for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Codes")
            .field("qr", &self.qr.is_some())
            .field("code", &self.code.is_some())
            .field("exhausted", &self.exhausted)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use session_api::Account;

    fn me() -> Account {
        Account { id: "628123@s.whatsapp.net".into(), lid: None, name: None }
    }

    #[test]
    fn starting_to_pair_in_every_situation() {
        use SessionState as S;
        let paired = Link::Paired { me: me() };
        let cases = [
            (S::Starting, Link::Unpaired, Start::Pair),
            (S::AwaitingPairing, Link::Unpaired, Start::Pair),
            (S::QrExpired, Link::Unpaired, Start::Pair),
            (S::PasskeyRequired, Link::Unpaired, Start::Pair),
            (S::LoggedOut, Link::Removed, Start::WipeFirst),
            (S::LoggedOut, Link::Wiping, Start::WipeFirst),
            (S::Replaced, Link::Replaced { me: me() }, Start::Reconnect),
            (S::Banned, paired.clone(), Start::Reconnect),
            (S::Outdated, paired.clone(), Start::Reconnect),
            (S::Failed, paired.clone(), Start::Reconnect),
            (S::Open, paired.clone(), Start::AlreadyPaired),
            (S::Reconnecting, paired.clone(), Start::AlreadyPaired),
            (S::Starting, paired.clone(), Start::AlreadyPaired),
        ];
        for (state, link, expected) in cases {
            assert_eq!(start(state, &link, false, false), expected, "{state:?} {link:?}");
        }
        assert_eq!(
            start(S::Failed, &paired, true, false),
            Start::WipeFirst,
            "lost credentials are acknowledged"
        );
        assert_eq!(start(S::Failed, &paired, true, true), Start::Broken);
    }

    #[test]
    fn only_pairing_can_be_stopped() {
        assert!(can_stop(SessionState::AwaitingPairing, &Link::Unpaired));
        assert!(can_stop(SessionState::QrExpired, &Link::Unpaired));
        assert!(!can_stop(SessionState::Open, &Link::Paired { me: me() }));
        assert!(!can_stop(SessionState::LoggedOut, &Link::Removed));
    }

    #[test]
    fn codes_run_out() {
        let mut codes = Codes {
            qr: Some(QrCode { qr: "q".into(), expires_at: 10 }),
            code: Some(PairingCode { code: "c".into(), expires_at: 20 }),
            exhausted: true,
        };
        assert_eq!(codes.wake_at(), Some(10));
        assert!(!codes.expire(10));
        assert!(codes.qr.is_none() && codes.code.is_some());
        assert!(codes.expire(20), "nothing is left on this connection");
        codes.clear();
        assert!(!codes.expire(20));
    }
}
