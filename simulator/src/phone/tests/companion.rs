//! A linked device, written for the tests from the wire format and sharing nothing with the phone but
//! libsignal: it checks the phone's papers, signs its own, and does the companion's half of a link code.

use aes_gcm::aead::Aead;
use aes_gcm::{Aes256Gcm, KeyInit};
use buffa::Message;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use rand::RngExt;
use rand::rngs::StdRng;
use sha2::Sha256;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::{KeyPair, PublicKey};
use waproto::codec;
use waproto::whatsapp::{ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC};

use super::NOW;
use crate::phone::signal::SignalState;
use crate::phone::{DeviceAddress, Phone, PreKeyBundle, content};

pub(super) struct Companion {
    pub(super) jid: Jid,
    pub(super) signal: SignalState,
    pub(super) adv_secret: [u8; 32],
    pub(super) papers: Vec<u8>,
}

impl Companion {
    pub(super) fn new(rng: &mut StdRng) -> Self {
        let signal = SignalState::new(rng);
        Self { jid: Jid::default(), signal, adv_secret: rng.random(), papers: Vec::new() }
    }

    /// Linked to a phone as device `id`.
    pub(super) fn linked(phone: &mut Phone, id: u16, rng: &mut StdRng) -> Self {
        let mut companion = Self::new(rng);
        let grant = phone.link(id, &companion.identity(), &companion.adv_secret, NOW).unwrap();
        let papers = companion.countersign(&grant.device_identity, rng).unwrap();
        phone.confirm_link(id, &papers).unwrap();
        companion.papers = phone.device_identity(id).unwrap().to_vec();
        companion.jid = Jid::pn_device(phone.number(), id);
        companion
    }

    pub(super) fn identity(&self) -> [u8; 32] {
        self.signal.identity().public_key.public_key_bytes().try_into().unwrap()
    }

    /// What a client does with `pair-success`; the error is what it would complain about.
    pub(super) fn countersign(&self, container: &[u8], rng: &mut StdRng) -> Result<Vec<u8>, &'static str> {
        let sealed = ADVSignedDeviceIdentityHMAC::decode_from_slice(container).map_err(|_| "container")?;
        let details = sealed.details.ok_or("details")?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.adv_secret).map_err(|_| "secret")?;
        mac.update(&details);
        mac.verify_slice(&sealed.hmac.ok_or("hmac")?).map_err(|_| "hmac-mismatch")?;
        let mut signed = codec::adv_signed_device_identity_decode(&details).map_err(|_| "identity")?;
        let details = signed.details.clone().ok_or("inner details")?;
        let account = signed.account_signature_key.take().ok_or("account key")?;
        let text = [&[6u8, 0][..], &details, &self.identity()].concat();
        let account_key = PublicKey::from_djb_public_key_bytes(&account).map_err(|_| "account key")?;
        if !account_key.verify_signature(&text, signed.account_signature.as_deref().ok_or("signature")?) {
            return Err("signature-mismatch");
        }
        let text = [&[6u8, 1][..], &details, &self.identity(), &account].concat();
        let signature = self.signal.identity().calculate_signature(&text, rng).map_err(|_| "sign")?;
        // As WhatsApp's clients send it: without the account's key, which the phone knows.
        Ok(codec::adv_signed_device_identity_to_vec(&ADVSignedDeviceIdentity {
            device_signature: Some(signature.to_vec()),
            ..signed
        }))
    }

    pub(super) fn bundle(&mut self, rng: &mut StdRng) -> PreKeyBundle {
        PreKeyBundle { device_identity: Some(self.papers.clone()), ..self.signal.next_bundle(rng) }
    }

    /// A `<message>` as the server delivers it to a phone.
    pub(super) fn write(&mut self, to: &mut Phone, id: &str, words: &str, rng: &mut StdRng) -> Node {
        self.write_raw(to, id, codec::message_to_vec(&super::text(words)), rng)
    }

    /// The same for an encoded message.
    pub(super) fn write_raw(&mut self, to: &mut Phone, id: &str, encoded: Vec<u8>, rng: &mut StdRng) -> Node {
        let address = DeviceAddress::of(&Jid::pn(to.number())).unwrap();
        if !self.signal.has_session(&address) {
            let bundle = to.next_bundle(rng);
            self.signal.start_session(&address, &bundle, rng).unwrap();
        }
        let plaintext = content::pad(encoded, rng);
        let ciphertext = self.signal.encrypt(&address, &plaintext).unwrap();
        let kind = if ciphertext.message_type() as u8 == 3 { "pkmsg" } else { "msg" };
        let enc =
            NodeBuilder::new("enc").attr("v", "2").attr("type", kind).bytes(ciphertext.serialize()).build();
        let papers = NodeBuilder::new("device-identity").bytes(self.papers.clone()).build();
        NodeBuilder::new("message")
            .attr("from", self.jid.clone())
            .attr("id", id)
            .attr("t", NOW)
            .attr("type", "text")
            .children([enc, papers])
            .build()
    }

    /// Decrypts what the phone `from` sent, with the padding taken off.
    pub(super) fn open(
        &mut self,
        from: &Phone,
        stanza: &Node,
        rng: &mut StdRng,
    ) -> waproto::whatsapp::Message {
        use wacore_libsignal::protocol::{CiphertextMessage, PreKeySignalMessage, SignalMessage};
        let enc = stanza.get_optional_child("enc").unwrap();
        let body = crate::phone::stanza::bytes(enc).unwrap();
        let message = match super::attr(enc, "type").as_str() {
            "pkmsg" => CiphertextMessage::PreKeySignalMessage(PreKeySignalMessage::try_from(body).unwrap()),
            _ => CiphertextMessage::SignalMessage(SignalMessage::try_from(body).unwrap()),
        };
        let address = DeviceAddress::of(&Jid::pn(from.number())).unwrap();
        let plaintext = self.signal.decrypt(&address, &message, rng).unwrap();
        let padding = usize::from(*plaintext.last().unwrap());
        assert!((1..=16).contains(&padding));
        codec::message_decode(&plaintext[..plaintext.len() - padding]).unwrap()
    }
}

/// The companion's half of a link code.
pub(super) struct LinkCode {
    code: &'static str,
    ephemeral: KeyPair,
}

impl LinkCode {
    pub(super) fn new(code: &'static str, rng: &mut StdRng) -> Self {
        Self { code, ephemeral: KeyPair::generate(rng) }
    }

    /// `link_code_pairing_wrapped_companion_ephemeral_pub`.
    pub(super) fn hello(&self, rng: &mut StdRng) -> Vec<u8> {
        let (salt, iv): ([u8; 32], [u8; 16]) = (rng.random(), rng.random());
        let mut key: [u8; 32] = self.ephemeral.public_key.public_key_bytes().try_into().unwrap();
        self.cipher(&salt, iv).apply_keystream(&mut key);
        [salt.as_slice(), &iv, &key].concat()
    }

    fn cipher(&self, salt: &[u8], iv: [u8; 16]) -> ctr::Ctr128BE<aes::Aes256> {
        let mut secret = [0u8; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(self.code.as_bytes(), salt, 131_072, &mut secret);
        ctr::Ctr128BE::<aes::Aes256>::new(&secret.into(), &iv.into())
    }

    /// The wrapped key bundle and the ADV secret that the companion will expect.
    pub(super) fn finish(
        &self,
        companion: &Companion,
        wrapped_primary: &[u8],
        primary_identity: &[u8; 32],
        rng: &mut StdRng,
    ) -> (Vec<u8>, [u8; 32]) {
        let mut primary: [u8; 32] = wrapped_primary[48..].try_into().unwrap();
        self.cipher(&wrapped_primary[..32], wrapped_primary[32..48].try_into().unwrap())
            .apply_keystream(&mut primary);
        let agree = |ours: &KeyPair, theirs: &[u8]| {
            ours.calculate_agreement(&PublicKey::from_djb_public_key_bytes(theirs).unwrap()).unwrap()
        };
        let by_ephemeral = agree(&self.ephemeral, &primary);
        let by_identity = agree(companion.signal.identity(), primary_identity);
        let (random, salt, iv): ([u8; 32], [u8; 32], [u8; 12]) = (rng.random(), rng.random(), rng.random());
        let mut key = [0u8; 32];
        let info = b"link_code_pairing_key_bundle_encryption_key";
        Hkdf::<Sha256>::new(Some(&salt), &by_ephemeral).expand(info, &mut key).unwrap();
        let bundle = [companion.identity().as_slice(), primary_identity, &random].concat();
        let sealed = Aes256Gcm::new(&key.into()).encrypt(&iv.into(), bundle.as_slice()).unwrap();
        let mut adv_secret = [0u8; 32];
        let secret = [by_ephemeral, by_identity, random].concat();
        Hkdf::<Sha256>::new(None, &secret).expand(b"adv_secret", &mut adv_secret).unwrap();
        ([salt.as_slice(), &iv, &sealed].concat(), adv_secret)
    }
}
