//! The bearer token: compared in constant time, never shown.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{ApiError, App};

/// Digest of the token that callers must show.
pub(crate) struct Token([u8; 32]);

impl Token {
    /// From the token itself.
    pub(crate) fn new(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether it is the same token. Takes as long for a wrong one as for the right one, whatever their lengths.
    fn is(&self, shown: &str) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown).into();
        self.0.ct_eq(&shown).into()
    }
}

/// Lets the request through if it shows the token.
pub(super) async fn check(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = header
        .and_then(|value| value.split_once(' '))
        .filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
    match shown {
        Some((_, token)) if app.token.is(token.trim()) => Ok(next.run(request).await),
        Some(_) | None => Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "show this session's token as 'Authorization: Bearer <token>'",
        )),
    }
}
