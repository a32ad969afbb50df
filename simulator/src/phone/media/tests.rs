//! Files survive encryption, and whatever was changed is noticed.

use super::*;

fn opened(attachment: &Attachment, file: &[u8]) -> Result<Vec<u8>, OpenError> {
    attachment.fetch(&mut |path| if path == "/v/x" { Ok(file.into()) } else { Err(path.to_owned()) })
}

const KINDS: [MediaKind; 7] = [
    MediaKind::Image,
    MediaKind::Gif,
    MediaKind::Video,
    MediaKind::Ptt,
    MediaKind::Audio,
    MediaKind::Document,
    MediaKind::Sticker,
];

fn about(kind: MediaKind) -> NewMedia {
    NewMedia {
        kind,
        mime_type: "application/x-test".into(),
        caption: Some("look".into()),
        file_name: Some("a.bin".into()),
    }
}

#[test]
fn every_kind_comes_out_as_it_went_in() {
    for kind in KINDS {
        for size in [0, 1, 15, 16, 17, 1000] {
            let plain = vec![7; size];
            let sealed = seal(kind, &plain, [3; 32]).unwrap();
            let message = sealed.message(about(kind), "/v/x?ccb=1", "https://host:1/v/x?ccb=1", 5);
            let attachment = Attachment::of(&message).unwrap();
            assert_eq!(attachment.kind, kind);
            assert_eq!(attachment.caption.is_some(), kind.takes_caption(), "{kind:?}");
            assert_eq!(opened(&attachment, &sealed.file).unwrap(), plain, "{kind:?} {size}");
        }
    }
}

/// Made with Node's `crypto` from the description of the format, not from this code.
#[test]
fn the_format_is_whatsapps() {
    let sealed = seal(MediaKind::Image, b"hello media", [1; 32]).unwrap();
    assert_eq!(hex::encode(&sealed.file), "e4cc60a4dc97071efc3a74c63f4fdaa69388897d6e32303255c9");
}

#[test]
fn what_was_changed_is_noticed() {
    let sealed = seal(MediaKind::Image, b"hello", [3; 32]).unwrap();
    let message = sealed.message(about(MediaKind::Image), "/v/x?", "https://h/v/x", 5);
    let attachment = Attachment::of(&message).unwrap();
    let mut file = sealed.file.clone();
    file[0] ^= 1;
    assert_eq!(opened(&attachment, &file), Err(OpenError::EncryptedHash));
    assert_eq!(open(MediaKind::Image, &file, &[3; 32]), Err(OpenError::Authenticate));
    assert_eq!(open(MediaKind::Video, &sealed.file, &[3; 32]), Err(OpenError::Authenticate));
    assert_eq!(open(MediaKind::Image, &[1, 2], &[3; 32]), Err(OpenError::Authenticate));
    let mut lying = message.clone();
    let image = lying.image_message.as_option_mut().unwrap();
    image.file_length = Some(6);
    assert_eq!(opened(&Attachment::of(&lying).unwrap(), &sealed.file), Err(OpenError::Length(5, 6)));
    lying.image_message.as_option_mut().unwrap().file_sha256 = Some(vec![0; 32]);
    assert_eq!(opened(&Attachment::of(&lying).unwrap(), &sealed.file), Err(OpenError::Hash));
    lying.image_message.as_option_mut().unwrap().media_key = None;
    assert_eq!(opened(&Attachment::of(&lying).unwrap(), &sealed.file), Err(OpenError::Incomplete));
}
