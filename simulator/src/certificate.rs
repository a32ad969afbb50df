//! The Noise certificate chain: a root key, an intermediate and a leaf for the server's static key. Keys and a time
//! in, the encoded `CertChain` out.
//!
//! Clients check: both XEdDSA signatures (root over the intermediate's details, intermediate over the leaf's), the
//! intermediate's issuer serial 0, the leaf's issuer serial = the intermediate's serial, the leaf's key = the static
//! key of the handshake, and the dates of both. Source: whatsmeow `handshake.go`, whatsapp-rust `wacore-noise`.

use buffa::{Message, MessageField};
use rand::CryptoRng;
use wacore_libsignal::protocol::{CurveError, KeyPair, PrivateKey};
use waproto::whatsapp::CertChain;
use waproto::whatsapp::cert_chain::NoiseCertificate;
use waproto::whatsapp::cert_chain::noise_certificate::Details;

const INTERMEDIATE_SERIAL: u32 = 1;
const LEAF_SERIAL: u32 = 2;
/// The root is nobody's child.
const ROOT_SERIAL: u32 = 0;
const DAY: u64 = 86_400;

/// Issues a chain for `static_key`, valid from a day before `now_secs` for ten years.
pub fn issue<R: CryptoRng>(
    root: &PrivateKey,
    static_key: &[u8],
    now_secs: u64,
    rng: &mut R,
) -> Result<Vec<u8>, CurveError> {
    let intermediate = KeyPair::generate(rng);
    let valid = (now_secs.saturating_sub(DAY), now_secs + 3650 * DAY);
    let intermediate_details =
        details((INTERMEDIATE_SERIAL, ROOT_SERIAL), intermediate.public_key.public_key_bytes(), valid);
    let leaf_details = details((LEAF_SERIAL, INTERMEDIATE_SERIAL), static_key, valid);
    let chain = CertChain {
        intermediate: sign(root, intermediate_details, rng)?,
        leaf: sign(&intermediate.private_key, leaf_details, rng)?,
    };
    Ok(chain.encode_to_vec())
}

fn details((serial, issuer): (u32, u32), key: &[u8], valid: (u64, u64)) -> Vec<u8> {
    Details {
        serial: Some(serial),
        issuer_serial: Some(issuer),
        key: Some(key.to_vec()),
        not_before: Some(valid.0),
        not_after: Some(valid.1),
    }
    .encode_to_vec()
}

fn sign<R: CryptoRng>(
    issuer: &PrivateKey,
    details: Vec<u8>,
    rng: &mut R,
) -> Result<MessageField<NoiseCertificate>, CurveError> {
    let signature = issuer.calculate_signature(&details, rng)?;
    Ok(MessageField::some(NoiseCertificate { details: Some(details), signature: Some(signature.to_vec()) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use wacore_libsignal::protocol::PublicKey;

    fn parts(certificate: MessageField<NoiseCertificate>) -> (Vec<u8>, Vec<u8>, Details) {
        let certificate = certificate.into_option().unwrap();
        let details = certificate.details.unwrap();
        let decoded = Details::decode_from_slice(&details).unwrap();
        (details, certificate.signature.unwrap(), decoded)
    }

    #[test]
    fn a_chain_verifies_from_the_root_to_the_static_key() {
        let mut rng = StdRng::seed_from_u64(7);
        let root = KeyPair::generate(&mut rng);
        let now = 1_800_000_000;
        let encoded = issue(&root.private_key, &[9; 32], now, &mut rng).unwrap();
        let chain = CertChain::decode_from_slice(&encoded).unwrap();
        let (details, signature, intermediate) = parts(chain.intermediate);
        assert!(root.public_key.verify_signature(&details, &signature));
        assert_eq!(intermediate.issuer_serial, Some(0));
        let (details, signature, leaf) = parts(chain.leaf);
        let key = PublicKey::from_djb_public_key_bytes(&intermediate.key.unwrap()).unwrap();
        assert!(key.verify_signature(&details, &signature));
        assert!(!root.public_key.verify_signature(&details, &signature));
        assert_eq!(leaf.issuer_serial, intermediate.serial);
        assert_eq!(leaf.key, Some(vec![9; 32]));
        assert!(leaf.not_before.unwrap() < now && now < leaf.not_after.unwrap());
    }
}
