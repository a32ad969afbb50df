//! The one shape of every error answer, of the pod and of the gateway.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `{"ok": false, "error": "<one sentence>", "code": "<snake_case>", …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Always false.
    pub ok: bool,
    /// One sentence a person can act on.
    pub error: String,
    /// Stable `snake_case` name of the error.
    pub code: String,
    /// Fields of that code (`sessionId`, `status`, `field`, …).
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

impl ErrorBody {
    /// An error without further fields.
    pub fn new(code: impl Into<String>, error: impl Into<String>) -> Self {
        Self { ok: false, error: error.into(), code: code.into(), details: Map::new() }
    }

    /// The same error with one more field.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.details.insert(field.to_owned(), value.into());
        self
    }
}
