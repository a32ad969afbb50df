//! What messages say about their media: reading it out of any kind of message, and writing such messages.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use buffa::MessageField;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::{AudioMessage, DocumentMessage, ImageMessage, StickerMessage, VideoMessage};

use super::{MediaKind, OpenError, SealedMedia, open};
use crate::phone::content;

/// Gives the file at a path of the media server, or says why not.
pub type FetchFile<'a> = dyn FnMut(&str) -> Result<Arc<[u8]>, String> + 'a;

/// How a person sends a file.
#[derive(Debug, Clone)]
pub struct NewMedia {
    /// What it is.
    pub kind: MediaKind,
    /// Its MIME type.
    pub mime_type: String,
    /// What is written under it.
    pub caption: Option<String>,
    /// What it is called; for documents.
    pub file_name: Option<String>,
}

/// A file that a message speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub(in crate::phone) kind: MediaKind,
    pub(in crate::phone) mime_type: String,
    pub(in crate::phone) caption: Option<String>,
    pub(in crate::phone) file_name: Option<String>,
    /// Bytes after decryption, as the sender says.
    pub(in crate::phone) size: Option<u64>,
    direct_path: Option<String>,
    url: Option<String>,
    /// Base64, as the rest: it is written in snapshots.
    key: String,
    sha256: String,
    file_sha256: String,
}

/// The fields that all kinds have.
macro_rules! attachment {
    ($message:expr, $kind:expr, $caption:expr, $file_name:expr) => {
        Attachment {
            kind: $kind,
            mime_type: $message.mimetype.clone().unwrap_or_default(),
            caption: $caption,
            file_name: $file_name,
            size: $message.file_length,
            direct_path: $message.direct_path.clone(),
            url: $message.url.clone(),
            key: encode($message.media_key.as_ref()),
            sha256: encode($message.file_sha256.as_ref()),
            file_sha256: encode($message.file_enc_sha256.as_ref()),
        }
    };
}

fn encode(bytes: Option<&Vec<u8>>) -> String {
    STANDARD.encode(bytes.map(Vec::as_slice).unwrap_or_default())
}

impl Attachment {
    /// The file that a message speaks of; wrappers are looked through.
    pub(in crate::phone) fn of(message: &wa::Message) -> Option<Self> {
        let m = content::unwrapped(message);
        let image =
            m.image_message.as_option().map(|i| attachment!(i, MediaKind::Image, i.caption.clone(), None));
        let video = || {
            let video = m.video_message.as_option()?;
            let kind = if video.gif_playback == Some(true) { MediaKind::Gif } else { MediaKind::Video };
            Some(attachment!(video, kind, video.caption.clone(), None))
        };
        let audio = || {
            let audio = m.audio_message.as_option()?;
            let kind = if audio.ptt == Some(true) { MediaKind::Ptt } else { MediaKind::Audio };
            Some(attachment!(audio, kind, None, None))
        };
        let document = || {
            let document = m.document_message.as_option()?;
            Some(attachment!(
                document,
                MediaKind::Document,
                document.caption.clone(),
                document.file_name.clone()
            ))
        };
        let sticker =
            || m.sticker_message.as_option().map(|s| attachment!(s, MediaKind::Sticker, None, None));
        image.or_else(video).or_else(audio).or_else(document).or_else(sticker)
    }

    /// Its MIME type, as the sender says.
    pub fn mime_type(&self) -> &str {
        &self.mime_type
    }

    /// Where the file is on the media server: the path, without host and query.
    pub fn path(&self) -> Option<&str> {
        let path = match (&self.direct_path, &self.url) {
            (Some(path), _) if !path.is_empty() => path,
            (_, Some(url)) => url.strip_prefix("https://").and_then(|rest| Some(&rest[rest.find('/')?..]))?,
            _ => return None,
        };
        path.split('?').next()
    }

    /// Fetches the file and opens it.
    pub fn fetch(&self, fetch: &mut FetchFile<'_>) -> Result<Vec<u8>, OpenError> {
        let path = self.path().ok_or(OpenError::Incomplete)?;
        self.open(&fetch(path).map_err(OpenError::Fetch)?)
    }

    /// Checks and decrypts the file.
    pub fn open(&self, file: &[u8]) -> Result<Vec<u8>, OpenError> {
        let decoded = |text: &String| STANDARD.decode(text).ok().filter(|bytes| bytes.len() == 32);
        let keys = (decoded(&self.key), decoded(&self.file_sha256), decoded(&self.sha256));
        let (Some(key), Some(file_sha256), Some(sha256)) = keys else {
            return Err(OpenError::Incomplete);
        };
        if Sha256::digest(file).as_slice() != file_sha256 {
            return Err(OpenError::EncryptedHash);
        }
        let plain = open(self.kind, file, &key)?;
        if Sha256::digest(&plain).as_slice() != sha256 {
            return Err(OpenError::Hash);
        }
        let length = u64::try_from(plain.len()).unwrap_or(u64::MAX);
        match self.size {
            Some(said) if said != length => Err(OpenError::Length(length, said)),
            Some(_) | None => Ok(plain),
        }
    }
}

impl SealedMedia {
    /// The message that carries the file, which the server has under this path and address.
    pub fn message(&self, about: NewMedia, direct_path: &str, url: &str, now_secs: u64) -> wa::Message {
        let NewMedia { kind, mime_type, caption, file_name } = about;
        macro_rules! carrying {
            ($type:ident { $($field:ident: $value:expr),* $(,)? }) => {
                MessageField::some($type {
                    url: Some(url.to_owned()),
                    direct_path: Some(direct_path.to_owned()),
                    mimetype: Some(mime_type),
                    file_sha256: Some(self.sha256.to_vec()),
                    file_enc_sha256: Some(self.file_sha256.to_vec()),
                    file_length: Some(self.size),
                    media_key: Some(self.key.to_vec()),
                    media_key_timestamp: i64::try_from(now_secs).ok(),
                    $($field: $value,)*
                    ..Default::default()
                })
            };
        }
        let mut message = wa::Message::default();
        match kind {
            MediaKind::Image => message.image_message = carrying!(ImageMessage { caption: caption }),
            MediaKind::Gif | MediaKind::Video => {
                let gif = (kind == MediaKind::Gif).then_some(true);
                message.video_message = carrying!(VideoMessage { caption: caption, gif_playback: gif });
            }
            MediaKind::Ptt | MediaKind::Audio => {
                message.audio_message = carrying!(AudioMessage { ptt: Some(kind == MediaKind::Ptt) });
            }
            MediaKind::Document => {
                let title = file_name.clone();
                message.document_message =
                    carrying!(DocumentMessage { caption: caption, file_name: file_name, title: title });
            }
            MediaKind::Sticker => message.sticker_message = carrying!(StickerMessage {}),
        }
        message
    }
}
