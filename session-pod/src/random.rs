//! Random values, from the TLS library's generator. The edge that pure code gets its randomness from.

use rustls::crypto::ring;

/// 0 to 999.
pub(crate) fn per_mille() -> u32 {
    u32::from_le_bytes(bytes()) % 1_000
}

/// A new message id as WhatsApp's web client makes them: `3EB0` and 18 upper-case hex digits.
pub(crate) fn message_id() -> String {
    format!("3EB0{}", hex::encode_upper(bytes::<9>()))
}

fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if ring::default_provider().secure_random.fill(&mut bytes).is_err() {
        tracing::error!("the system gives no random numbers");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_look_like_whatsapps_and_differ() {
        let (one, two) = (message_id(), message_id());
        assert_ne!(one, two);
        assert_eq!(one.len(), 22);
        assert!(one.starts_with("3EB0") && one.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()));
    }
}
