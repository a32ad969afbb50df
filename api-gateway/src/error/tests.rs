//! Errors as callers see them.

use super::*;

#[test]
fn errors_wear_one_envelope() {
    let error = ApiError::SessionNotOpen { id: "shop".parse().unwrap(), status: PublicStatus::Qr };
    assert_eq!(error.status(), StatusCode::CONFLICT);
    assert_eq!(
        serde_json::to_value(error.body()).unwrap(),
        serde_json::json!({
            "ok": false,
            "code": "session_not_open",
            "error": "session shop is not open (its status is qr): see GET /api/sessions/shop",
            "sessionId": "shop",
            "status": "qr",
        })
    );
}

#[test]
fn a_wait_is_told_in_the_header_too_rounded_up() {
    let error = ApiError::SessionUnavailable { id: "a".parse().unwrap(), retry_after_ms: 1001 };
    let response = error.into_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::RETRY_AFTER], "2");
}

#[test]
fn a_session_refuses_in_its_own_words() {
    let body = ErrorBody::new("disk_full", "the volume is full").with("retryAfterMs", 5000);
    let error = ApiError::Refused { status: 503, body: Box::new(body.clone()) };
    assert_eq!((error.status().as_u16(), error.body()), (503, body));
}
