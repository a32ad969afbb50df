//! The text of a linking QR code: `ref,noise,identity,secret[,platform]`, alone or behind the `#` of a link.
//!
//! Source: whatsapp-rust `pair.rs` (`make_qr_data`), Baileys 7 `socket.js`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a QR code says.
pub(super) struct Code {
    pub(super) reference: String,
    pub(super) noise: [u8; 32],
    pub(super) identity: [u8; 32],
    pub(super) adv_secret: [u8; 32],
}

/// Reads a code; nothing when it is none.
pub(super) fn read(text: &str) -> Option<Code> {
    let text = text.trim();
    let fields = text.rsplit_once('#').map_or(text, |(_, fields)| fields);
    let mut fields = fields.split(',');
    let reference = fields.next()?.to_owned();
    let mut key = || -> Option<[u8; 32]> { STANDARD.decode(fields.next()?).ok()?.try_into().ok() };
    Some(Code { reference, noise: key()?, identity: key()?, adv_secret: key()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_code_are_read_and_others_are_not() {
        let keys = [[1; 32], [2; 32], [3; 32]].map(|key: [u8; 32]| STANDARD.encode(key)).join(",");
        for text in [
            format!("2@ref,{keys}"),
            format!("2@ref,{keys},1\n"),
            format!("https://wa.me/settings/linked_devices#2@ref,{keys},1"),
        ] {
            let code = read(&text).unwrap();
            assert_eq!((code.reference.as_str(), code.noise), ("2@ref", [1; 32]));
            assert_eq!((code.identity, code.adv_secret), ([2; 32], [3; 32]));
        }
        for text in ["", "2@ref", "2@ref,AAAA,AAAA,AAAA", "hello, world, this, is no code"] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
