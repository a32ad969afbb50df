//! What listeners of a session are told, in Socket.IO's events.
//!
//! Comes in: a status, an event of the session. Goes out: event names and their data.

use serde_json::{Value, json};
use session_api::{EventData, PairingCode};
use socketioxide::extract::SocketRef;

use crate::app::AppState;
use crate::directory::SessionRecord;
use crate::monitor::{News, Told};
use crate::session_name::SessionName;
use crate::status::{PublicStatus, View};

/// The events that say this.
pub(super) fn words(told: &Told) -> Vec<(&'static str, Value)> {
    match &told.news {
        News::Status { before, now } => status_words(&told.id, Some(*before), now),
        News::Event(event) => event_words(&told.id, event).into_iter().collect(),
        News::Deleted => {
            vec![("closed", json!({"sessionId": told.id, "status": "deleted", "reason": "deleted"}))]
        }
    }
}

/// `status` always; `ready` when the session has opened, `closed` when it has ended.
fn status_words(id: &SessionName, before: Option<PublicStatus>, now: &View) -> Vec<(&'static str, Value)> {
    let mut words = vec![("status", status(id, now))];
    if now.status == PublicStatus::Open {
        words.push(("ready", json!({"sessionId": id, "me": now.me})));
    }
    if now.status.is_ended() && before.is_none_or(|before| !before.is_ended()) {
        let reason = now.last_error.as_ref().map_or(now.status.as_str(), |reason| reason.code.as_str());
        words.push(("closed", json!({"sessionId": id, "status": now.status, "reason": reason})));
    }
    words
}

fn status(id: &SessionName, now: &View) -> Value {
    json!({"sessionId": id, "status": now.status, "since": now.since, "me": now.me, "lastError": now.last_error})
}

fn event_words(id: &SessionName, event: &EventData) -> Option<(&'static str, Value)> {
    match event {
        EventData::Qr { qr, expires_at } => {
            Some(("qr", json!({"sessionId": id, "qr": qr, "expiresAt": expires_at})))
        }
        EventData::PairingCode { code, expires_at } => {
            Some(("pairing_code", json!({"sessionId": id, "code": code, "expiresAt": expires_at})))
        }
        EventData::MessageReceived(message) => {
            Some(("message", named(id, serde_json::to_value(message).ok()?)))
        }
        EventData::MessageStatus(status) => {
            let mut data = named(id, serde_json::to_value(status).ok()?);
            data["id"] = json!(status.message_id);
            Some(("message_status", data))
        }
        // The status is told from the view, which knows of a dead process too; other kinds are newer than this gateway.
        EventData::Status { .. } | EventData::SessionOpen { .. } | EventData::SessionClosed { .. } | _ => {
            None
        }
    }
}

/// The data with the session's id in it.
fn named(id: &SessionName, mut data: Value) -> Value {
    if let Some(fields) = data.as_object_mut() {
        fields.insert("sessionId".to_owned(), json!(id));
    }
    data
}

/// Tells one client how the session is now.
pub(super) async fn present(socket: &SocketRef, state: &AppState, session: &SessionRecord) {
    let view = state.monitor.view(session);
    let mut words = status_words(&session.id, None, &view);
    if let Some(pod) = session.runtime.pod().filter(|_| view.status == PublicStatus::Qr)
        && let Ok(code) = state.pods.qr(pod).await
    {
        words.push(("qr", json!({"sessionId": session.id, "qr": code.qr, "expiresAt": code.expires_at})));
    }
    if let Some(PairingCode { code, expires_at }) = state.monitor.pairing_code(&session.uid) {
        let shown = json!({"sessionId": session.id, "code": code, "expiresAt": expires_at});
        words.push(("pairing_code", shown));
    }
    for (event, data) in words {
        if let Err(error) = socket.emit(event, &data) {
            tracing::debug!(session = %session.id, %error, "a client did not take the present state");
        }
    }
}

#[cfg(test)]
mod tests {
    use session_api::{Account, InboundMessage, MessageId, MessageStatus, Reason};

    use super::*;

    fn view(status: PublicStatus) -> View {
        let me = Account { id: "62811@s.whatsapp.net".to_owned(), lid: None, name: None };
        View { status, since: Some(5), me: Some(me), last_error: None }
    }

    fn names(words: &[(&'static str, Value)]) -> Vec<&'static str> {
        words.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn opening_and_ending_have_words_of_their_own() {
        let id: SessionName = "shop".parse().unwrap();
        let opened = status_words(&id, Some(PublicStatus::Qr), &view(PublicStatus::Open));
        assert_eq!(names(&opened), ["status", "ready"]);
        assert_eq!(opened[1].1, json!({"sessionId": "shop", "me": {"id": "62811@s.whatsapp.net"}}));
        let reason = Reason { code: "replaced".to_owned(), message: "…".to_owned() };
        let ended = View { last_error: Some(reason), ..view(PublicStatus::Closed) };
        let closed = status_words(&id, Some(PublicStatus::Open), &ended);
        assert_eq!(names(&closed), ["status", "closed"]);
        assert_eq!(closed[1].1, json!({"sessionId": "shop", "status": "closed", "reason": "replaced"}));
        let still = status_words(&id, Some(PublicStatus::Closed), &view(PublicStatus::Suspended));
        assert_eq!(names(&still), ["status"], "it has ended before");
        let passing = status_words(&id, Some(PublicStatus::Open), &view(PublicStatus::Reconnecting));
        assert_eq!(names(&passing), ["status"]);
    }

    #[test]
    fn a_message_is_told_as_a_webhook_would() {
        let message = InboundMessage {
            id: MessageId::try_from("3EB0".to_owned()).unwrap(),
            from: "62811@s.whatsapp.net".to_owned(),
            chat: "62811@s.whatsapp.net".to_owned(),
            from_lid: None,
            push_name: None,
            text: Some("ping".to_owned()),
            is_group: false,
            timestamp: 7,
            quoted: None,
            message: json!({"conversation": "ping"}),
        };
        let (name, data) =
            event_words(&"shop".parse().unwrap(), &EventData::MessageReceived(message)).unwrap();
        assert_eq!(name, "message");
        assert_eq!(
            data,
            json!({"sessionId": "shop", "id": "3EB0", "from": "62811@s.whatsapp.net", "chat": "62811@s.whatsapp.net",
                "text": "ping", "isGroup": false, "timestamp": 7, "message": {"conversation": "ping"}})
        );
    }
    #[test]
    fn what_became_of_a_message_is_told_by_its_id() {
        let status = MessageStatus {
            to: "62811@s.whatsapp.net".to_owned(),
            message_id: MessageId::try_from("3EB0".to_owned()).unwrap(),
            status: "READ".to_owned(),
            reason: None,
        };
        let (name, data) = event_words(&"shop".parse().unwrap(), &EventData::MessageStatus(status)).unwrap();
        assert_eq!(name, "message_status");
        assert_eq!(
            data,
            json!({"sessionId": "shop", "id": "3EB0", "messageId": "3EB0", "status": "READ", "to": "62811@s.whatsapp.net"})
        );
    }
}
