//! A client's half of linking: its keys, its payloads, and the signature over its papers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use buffa::{Message, MessageField};
use hmac::{Hmac, KeyInit, Mac};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::Sha256;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::KeyPair;
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;
use waproto::whatsapp::{ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC, ClientPayload, DeviceProps};

use super::{Bench, Companion, iq, public};
use crate::address::{DeviceId, Namespace};
use crate::xml;

impl Companion {
    /// Fresh keys.
    pub(crate) fn new(rng: &mut StdRng) -> Self {
        Self {
            noise: KeyPair::generate(rng),
            identity: KeyPair::generate(rng),
            adv_secret: [7; 32],
            id: DeviceId::new("", 0),
            connection: 0,
            refs: Vec::new(),
        }
    }

    /// What a device says that wants to be linked.
    pub(crate) fn registration(&self) -> ClientPayload {
        let props = DeviceProps { os: Some("Bench".to_owned()), ..Default::default() };
        ClientPayload {
            push_name: Some("Rita".to_owned()),
            device_pairing_data: MessageField::some(DevicePairingRegistrationData {
                e_ident: Some(public(&self.identity).to_vec()),
                device_props: Some(props.encode_to_vec()),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// What a linked device says.
    pub(crate) fn login(&self) -> ClientPayload {
        ClientPayload {
            username: self.id.number.parse().ok(),
            device: Some(u32::from(self.id.device)),
            lid_db_migrated: Some(true),
            ..Default::default()
        }
    }

    /// Takes the references out of `pair-device`.
    pub(crate) fn read_references(&mut self, shown: &Node) {
        self.refs = xml::children(shown.get_optional_child("pair-device").unwrap())
            .iter()
            .map(|reference| String::from_utf8(xml::bytes(reference).unwrap()).unwrap())
            .collect();
    }

    /// The text of the QR code with the `index`th reference.
    pub(crate) fn qr(&self, index: usize) -> String {
        let key = |key: [u8; 32]| STANDARD.encode(key);
        format!(
            "{},{},{},{}",
            self.refs[index],
            key(public(&self.noise)),
            key(public(&self.identity)),
            key(self.adv_secret)
        )
    }

    /// Checks the papers in `pair-success` and countersigns them.
    pub(crate) fn sign(&self, success: &Node) -> Node {
        let sealed = xml::bytes_at(success, &["pair-success", "device-identity"]).unwrap();
        let sealed = ADVSignedDeviceIdentityHMAC::decode_from_slice(&sealed).unwrap();
        let details = sealed.details.unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.adv_secret).unwrap();
        mac.update(&details);
        mac.verify_slice(&sealed.hmac.unwrap()).unwrap();
        let mut identity = ADVSignedDeviceIdentity::decode_from_slice(&details).unwrap();
        let message = [
            &[6, 1],
            identity.details.as_deref().unwrap(),
            &public(&self.identity),
            identity.account_signature_key.as_deref().unwrap(),
        ]
        .concat();
        let mut rng = StdRng::seed_from_u64(9);
        let signature = self.identity.private_key.calculate_signature(&message, &mut rng).unwrap();
        identity.device_signature = Some(signature.to_vec());
        identity.account_signature_key = None;
        let signed = NodeBuilder::new("pair-device-sign")
            .children([xml::leaf("device-identity", identity.encode_to_vec())]);
        NodeBuilder::new("iq")
            .attr("type", "result")
            .attr("id", xml::text(success, "id").unwrap().as_ref())
            .children([signed.build()])
            .build()
    }

    /// An upload of prekeys, really signed.
    pub(crate) fn upload(&self, count: u32, rng: &mut StdRng) -> Node {
        let signed = KeyPair::generate(rng);
        let signature =
            self.identity.private_key.calculate_signature(&signed.public_key.serialize(), rng).unwrap();
        let keys = (1..=count).map(|id| {
            NodeBuilder::new("key")
                .children([xml::leaf("id", xml::key_id(id)), xml::leaf("value", [9; 32])])
                .build()
        });
        let skey = NodeBuilder::new("skey").children([
            xml::leaf("id", xml::key_id(1)),
            xml::leaf("value", public(&signed)),
            xml::leaf("signature", signature.to_vec()),
        ]);
        iq("set", "encrypt")
            .children([
                xml::leaf("registration", 77_u32.to_be_bytes()),
                xml::leaf("type", [5]),
                xml::leaf("identity", public(&self.identity)),
                NodeBuilder::new("list").children(keys.collect::<Vec<_>>()).build(),
                skey.build(),
            ])
            .build()
    }

    /// This device's JID.
    pub(crate) fn jid(&self, bench: &Bench, namespace: Namespace) -> Jid {
        bench.world.jid(&self.id, namespace)
    }
}
