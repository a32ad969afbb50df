//! Sessions, pods and claims for tests of the pure core.

use std::sync::Arc;

use crds::WhatsAppSession;
use crds::token::TokenKey;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use session_api::{Account, SessionState, SessionStatus};

use crate::build::{self, Desired};
use crate::decide::Rules;
use crate::observe::{
    Answer, Answering, ClaimPhase, ClaimSeen, Container, ContentSeen, Lasting, NodeSeen, Observed, Owner,
    Phase, PodSeen, Turn,
};
use crate::secrets::References;
use crate::validate::validate;

/// The key of all tests.
pub(crate) const KEY: TokenKey = [7; 32];
/// The rules of all tests.
pub(crate) const RULES: Rules =
    Rules { node_loss: SignedDuration::from_secs(300), node_grace: SignedDuration::from_secs(60) };

/// The present of all tests.
pub(crate) fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

/// So many seconds before the present.
pub(crate) fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// A session `toko` of UID `u-1` with this spec and status (JSON; an empty status is none).
pub(crate) fn session(spec: &str, status: &str) -> WhatsAppSession {
    let status = if status.is_empty() { "null" } else { status };
    let manifest = format!(
        r#"{{"apiVersion":"warest.io/v1alpha1","kind":"WhatsAppSession",
            "metadata":{{"name":"toko","namespace":"shop","uid":"u-1","generation":3}},"spec":{spec},"status":{status}}}"#
    );
    serde_json::from_str(&manifest).unwrap()
}

/// Status of a session that was linked on the claim `c-1` and had a pod `p-1` on node `n`.
pub(crate) const PAIRED: &str = r#"{"conditions":[],"account":{"fingerprint":"f"},"writerEpoch":4,
    "storage":{"claimName":"toko-session","claimUid":"c-1"},"pod":{"name":"toko","uid":"p-1","node":"n"}}"#;

/// A node that has been away for so many seconds.
pub(crate) fn silent(seconds: i64) -> NodeSeen {
    NodeSeen::NotReady { since: ago(seconds), lasted: SignedDuration::from_secs(seconds) }
}

/// A node that has answered for so many seconds, after it had been away or not.
pub(crate) fn answering(lasted: i64, returned: bool) -> NodeSeen {
    let lasting = Lasting { since: ago(lasted), lasted: SignedDuration::from_secs(lasted) };
    NodeSeen::Ready(Answering { lasting, returned })
}

/// A session as it is when all is well, but without pods.
pub(crate) fn seen(spec: &str, status: &str) -> Observed {
    let session = session(spec, status);
    let mut seen = Observed {
        session: Arc::new(session),
        namespace_terminating: false,
        claim: Some(claim()),
        secret: None,
        network_policy: None,
        pods: Vec::new(),
        departed: Vec::new(),
        node: NodeSeen::Unknown,
        heard: None,
        same_volume: None,
        same_account: None,
        code_asked: false,
        warnings: Vec::new(),
        turn: Turn::Later("Others go first.".to_owned()),
        deleted_for: SignedDuration::ZERO,
        now: now(),
    };
    let desired = desired(&seen);
    seen.secret = Some(content(&desired.secret.1));
    seen.network_policy = Some(content(&desired.network_policy.1));
    seen
}

/// What shall be.
pub(crate) fn desired(seen: &Observed) -> Desired {
    let valid = validate(&seen.session, &References::default(), &KEY).unwrap();
    build::build(&valid, &build::tests::settings(&[]), &KEY)
}

fn owner() -> Owner {
    Owner { kind: "WhatsAppSession".to_owned(), name: "toko".to_owned(), uid: "u-1".to_owned() }
}

fn content(hash: &str) -> ContentSeen {
    ContentSeen {
        uid: "o".to_owned(),
        version: "1".to_owned(),
        owner: Some(owner()),
        labelled: true,
        deleting: false,
        hash: hash.to_owned(),
    }
}

/// The session's claim, bound, of UID `c-1`.
pub(crate) fn claim() -> ClaimSeen {
    ClaimSeen {
        name: "toko-session".to_owned(),
        uid: "c-1".to_owned(),
        version: "1".to_owned(),
        owner: None,
        others: Vec::new(),
        session: Some("toko".to_owned()),
        session_uid: Some("u-1".to_owned()),
        labelled: true,
        deleting: false,
        phase: ClaimPhase::Bound,
        requested: Some("1Gi".to_owned()),
        capacity: Some("1Gi".to_owned()),
        access_mode: Some("ReadWriteOncePod".to_owned()),
        class: Some("standard".to_owned()),
        reset_token: None,
        resize_error: None,
    }
}

/// The session's pod as it is when it runs and is ready, of UID `p-1` on node `n`.
pub(crate) fn pod(seen: &Observed) -> PodSeen {
    let desired = desired(seen);
    PodSeen {
        name: "toko".to_owned(),
        uid: "p-1".to_owned(),
        version: "1".to_owned(),
        owner: Some(owner()),
        labelled: true,
        deleting: None,
        node: Some("n".to_owned()),
        ip: Some("10.0.0.1".to_owned()),
        phase: Phase::Running,
        reason: None,
        message: None,
        ready: Some((true, ago(60))),
        unschedulable: None,
        container: Container::Running { since: Some(ago(60)) },
        last_exit: None,
        restarts: 0,
        created: Some(ago(70)),
        made: Some(ago(70)),
        template_hash: Some(desired.template_hash),
        revision: Some(desired.revision),
        place: Some(("toko-session".to_owned(), String::new())),
        grace: Some(30),
    }
}

/// What a session says in this state.
pub(crate) fn said(seen: &Observed, state: SessionState) -> Answer {
    let paired = !matches!(
        state,
        SessionState::AwaitingPairing
            | SessionState::LoggedOut
            | SessionState::QrExpired
            | SessionState::Starting
    );
    Answer::Status(Box::new(SessionStatus {
        revision: 5,
        session_id: "toko".to_owned(),
        session_uid: "u-1".to_owned(),
        writer_epoch: 4,
        state,
        since: 1,
        reason: None,
        paired,
        me: paired.then(|| Account { id: "628123456789@s.whatsapp.net".to_owned(), lid: None, name: None }),
        outbox_depth: 0,
        last_event: 0,
        config_hash: Some(desired(seen).config_hash),
        version: "1".to_owned(),
    }))
}

/// A session whose pod runs, and which says that.
pub(crate) fn running(spec: &str, status: &str, state: SessionState) -> Observed {
    let mut seen = seen(spec, status);
    seen.pods = vec![pod(&seen)];
    seen.heard = Some(said(&seen, state));
    seen
}
