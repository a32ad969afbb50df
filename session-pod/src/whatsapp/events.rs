//! What the client's events mean to the session. Pure: time and account come in.

use session_api::Account;
use whatsapp_rust::types::events::{ConnectFailureReason, Event, LoggedOut, TemporaryBan};
use whatsapp_rust::wacore::chrono::{DateTime, SecondsFormat};
use whatsapp_rust::wacore_binary::Jid;

use super::convert;
use crate::session::Ending;
use crate::session::state::{Signal, reason};

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library has some fifty events that change nothing here"
)]
/// The signal of an event; none for events that change nothing. `now` is in Unix milliseconds, `me` reads the account from the client.
pub(super) fn signal(event: &Event, now: u64, me: impl FnOnce() -> Option<Account>) -> Option<Signal> {
    Some(match event {
        Event::PairingQrCode(qr) => Signal::Qr {
            qr: qr.code.clone(),
            valid_ms: u64::try_from(qr.timeout.as_millis()).unwrap_or(u64::MAX),
        },
        Event::PairingQrCodesExhausted(_) => Signal::QrExhausted,
        Event::PairSuccess(pair) => Signal::Paired(account(&pair.id, Some(&pair.lid), &pair.business_name)),
        Event::PairError(error) => {
            let message = format!("a phone tried to link and failed: {}. Scan again", error.error);
            Signal::PairFailed(reason("pairing_failed", message))
        }
        Event::QrScannedWithoutMultidevice(_) => Signal::PairFailed(reason(
            "multidevice_disabled",
            "the phone that scanned cannot link devices: update WhatsApp on it and scan again",
        )),
        Event::PairPasskeyRequest(_) | Event::PairPasskeyConfirmation(_) | Event::PairPasskeyError(_) => {
            Signal::Ended(Ending::PasskeyRequired)
        }
        Event::Connected(_) => Signal::Connected(me()?),
        Event::Disconnected(gone) => {
            let message = format!("the connection to WhatsApp is gone ({}); reconnecting", gone.reason);
            Signal::Disconnected(reason("connection_lost", message))
        }
        Event::LoggedOut(out) => Signal::Ended(logged_out(out)),
        Event::StreamReplaced(_) => Signal::Ended(Ending::Replaced),
        Event::TemporaryBan(ban) => Signal::Ended(banned(ban, now)),
        Event::ClientOutdated(_) => Signal::Ended(Ending::Outdated),
        Event::ConnectFailure(failure) => refused(failure.reason),
        Event::ServerAck(ack) if ack.class.as_deref() == Some("message") => {
            Signal::Ack { id: ack.id.clone(), refused: ack.error.clone() }
        }
        Event::Receipt(receipt) if !receipt.source.is_from_me => Signal::Receipt {
            ids: receipt.message_ids.iter().map(ToString::to_string).collect(),
            progress: convert::progress(&receipt.r#type)?,
        },
        _ => return None,
    })
}

/// An account from its addresses.
pub(super) fn account(number: &Jid, lid: Option<&Jid>, name: &str) -> Account {
    Account {
        id: number.to_non_ad_string(),
        lid: lid.filter(|lid| !lid.user.is_empty()).map(Jid::to_non_ad_string),
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
    }
}

/// A logout without a stanza is our own.
fn logged_out(out: &LoggedOut) -> Ending {
    match (&out.raw, out.reason) {
        (None, _) => Ending::LoggedOutByUs,
        (Some(_), ConnectFailureReason::AccountLocked) => Ending::Removed { locked: true },
        (Some(_), _) => Ending::Removed { locked: false },
    }
}

fn banned(ban: &TemporaryBan, now: u64) -> Ending {
    let now = i64::try_from(now).ok().and_then(DateTime::from_timestamp_millis);
    let until = now.and_then(|now| now.checked_add_signed(ban.expire));
    Ending::Banned {
        until: until.map(|until| until.to_rfc3339_opts(SecondsFormat::Secs, true)),
        cause: Some(ban.code.code()),
    }
}

/// A refusal that the client tries again after is a passing one.
fn refused(code: ConnectFailureReason) -> Signal {
    let number = code.code();
    if code.should_reconnect() {
        let message = format!("WhatsApp is not available (code {number}); trying again");
        return Signal::Disconnected(reason("whatsapp_unavailable", message));
    }
    Signal::Ended(if code == ConnectFailureReason::TempBanned {
        Ending::Banned { until: None, cause: None }
    } else if code == ConnectFailureReason::ClientOutdated {
        Ending::Outdated
    } else {
        Ending::Refused { code: number }
    })
}

#[cfg(test)]
mod tests;
