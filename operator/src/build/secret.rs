//! The Secret of a session's pod: the token that it is asked with, and the configuration that it starts with.

use std::collections::BTreeMap;

use crds::names;
use crds::token::{self, TokenKey};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::metadata;
use crate::validate::Valid;

/// Builds the Secret.
pub fn build(valid: &Valid, key: &TokenKey) -> Secret {
    let config = serde_json::to_vec(&valid.push).unwrap_or_default();
    let token = token::derive(key, &valid.uid);
    Secret {
        metadata: metadata(valid, names::secret(valid.key.name())),
        type_: Some("Opaque".to_owned()),
        data: Some(BTreeMap::from([
            (names::TOKEN_KEY.to_owned(), ByteString(token.into_bytes())),
            (names::CONFIG_KEY.to_owned(), ByteString(config)),
        ])),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::tests::valid;

    #[test]
    fn a_pod_finds_its_token_and_its_configuration() {
        let valid = valid(r#"{"policy":{"paceMs":250}}"#);
        let data = build(&valid, &[7; 32]).data.unwrap();
        assert_eq!(data["token"].0, token::derive(&[7; 32], "u-1").into_bytes());
        let push: session_api::ConfigPush = serde_json::from_slice(&data["config.json"].0).unwrap();
        assert_eq!(push, valid.push);
    }
}
