//! The media server's files, by their hash, and who may upload. Bytes in, bytes out; no HTTP, no disk.
//!
//! A file is what a phone or a client encrypted; its token is the SHA-256 of that in URL-safe base64, as in WhatsApp's own
//! paths. Source: whatsapp-rust `upload.rs`, `download.rs`; whatsmeow `upload.go`, `download.go`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use sha2::{Digest, Sha256};

use super::{Turn, World};
use crate::address::DeviceId;
use crate::faults::Transfer;

/// The largest file before encryption.
pub const MAX_FILE: usize = 64 << 20;
/// What encryption adds at most: padding and MAC.
const OVERHEAD: usize = 32;
/// All files together.
pub const MAX_TOTAL: usize = 256 << 20;
/// Tokens of deleted files that are remembered.
const MAX_GONE: usize = 10_000;

/// Why the media server refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// `auth` is nobody's.
    #[error("`auth` was given to nobody; ask for `media_conn` again")]
    Auth,
    /// The token is no hash.
    #[error("the last part of the path must be a SHA-256 in URL-safe base64")]
    Token,
    /// The bytes are others.
    #[error("the bytes have another SHA-256 than the path says")]
    Hash,
    /// One file is too large.
    #[error("a file has at most {MAX_FILE} bytes")]
    TooLarge,
    /// All files are too large together.
    #[error("the media server keeps at most {MAX_TOTAL} bytes; DELETE /media on the control API")]
    Full,
    /// The upload ended in the middle or took too long.
    #[error("the upload broke off; ask with `resume=1` where to go on")]
    BrokeOff,
    /// It does not go on where the server is.
    #[error("`file_offset` is {0}, but the server has {1} bytes")]
    Offset(usize, usize),
    /// Nobody ever uploaded it.
    #[error("there is no such file")]
    NotFound,
    /// It was deleted.
    #[error("the file is gone")]
    Gone,
    /// A test asked for it.
    #[error("refused with {0}, as a fault asks for")]
    Refused(u16),
    /// The disk failed.
    #[error("the file could not be kept: {0}")]
    Keep(String),
}

/// The files, what came of unfinished ones, and what was given out to whom.
#[derive(Debug, Default)]
pub struct MediaStore {
    files: BTreeMap<String, Arc<[u8]>>,
    unfinished: BTreeMap<String, Vec<u8>>,
    gone: VecDeque<String>,
    auths: BTreeMap<String, DeviceId>,
    /// `host:port` by which clients reach the media server.
    pub(crate) host: String,
}

/// A file's token.
pub fn token(file: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(file))
}

/// A token however a client writes it: with or without padding.
pub fn read_token(text: &str) -> Result<String, MediaError> {
    let token = text.trim_end_matches('=');
    let hash = URL_SAFE_NO_PAD.decode(token).map_err(|_| MediaError::Token)?;
    if hash.len() == 32 { Ok(token.to_owned()) } else { Err(MediaError::Token) }
}

impl MediaStore {
    /// A store that clients find at `host:port`.
    pub fn at(host: String) -> Self {
        Self { host, ..Self::default() }
    }

    /// Bytes of all files, finished or not.
    pub fn total(&self) -> usize {
        let unfinished: usize = self.unfinished.values().map(Vec::len).sum();
        self.files.values().map(|file| file.len()).sum::<usize>() + unfinished
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether a file of so many bytes is taken.
    pub fn check_size(&self, token: &str, size: usize) -> Result<(), MediaError> {
        let known = self.files.contains_key(token);
        let kept = self.unfinished.get(token).map_or(0, Vec::len);
        match size {
            _ if size > MAX_FILE + OVERHEAD => Err(MediaError::TooLarge),
            _ if !known && self.total() - kept + size > MAX_TOTAL => Err(MediaError::Full),
            _ => Ok(()),
        }
    }

    /// Keeps a file. Its token must have been computed from it.
    pub fn put(&mut self, token: &str, file: Arc<[u8]>) -> Result<(), MediaError> {
        self.check_size(token, file.len())?;
        self.unfinished.remove(token);
        self.gone.retain(|gone| gone != token);
        self.files.insert(token.to_owned(), file);
        Ok(())
    }

    /// The file with this token.
    pub fn get(&self, token: &str) -> Result<Arc<[u8]>, MediaError> {
        match self.files.get(token) {
            Some(file) => Ok(Arc::clone(file)),
            None if self.gone.iter().any(|gone| gone == token) => Err(MediaError::Gone),
            None => Err(MediaError::NotFound),
        }
    }

    /// Whether the whole file is there.
    pub fn has(&self, token: &str) -> bool {
        self.files.contains_key(token)
    }

    /// How much of an unfinished upload is there.
    pub fn offset(&self, token: &str) -> usize {
        self.unfinished.get(token).map_or(0, Vec::len)
    }

    /// The first part of an upload that goes on at `offset`.
    pub fn take_unfinished(&mut self, token: &str, offset: usize) -> Result<Vec<u8>, MediaError> {
        let have = self.offset(token);
        if offset > have {
            return Err(MediaError::Offset(offset, have));
        }
        let mut first = self.unfinished.remove(token).unwrap_or_default();
        first.truncate(offset);
        Ok(first)
    }

    /// Keeps what came of an upload that broke off, if there is room.
    pub fn keep_unfinished(&mut self, token: &str, bytes: Vec<u8>) {
        if !bytes.is_empty() && self.check_size(token, bytes.len()).is_ok() {
            self.unfinished.insert(token.to_owned(), bytes);
        }
    }

    /// Deletes everything; returns the tokens of what there was.
    pub fn clear(&mut self) -> Vec<String> {
        self.unfinished.clear();
        let tokens: Vec<String> = std::mem::take(&mut self.files).into_keys().collect();
        self.gone.extend(tokens.iter().cloned());
        while self.gone.len() > MAX_GONE {
            self.gone.pop_front();
        }
        tokens
    }

    /// What a device shows to upload: the same each time until the simulator restarts.
    pub(crate) fn auth_for(&mut self, turn: &mut Turn<'_>, id: &DeviceId) -> String {
        if let Some((auth, _)) = self.auths.iter().find(|(_, holder)| *holder == id) {
            return auth.clone();
        }
        let mut bytes = [0_u8; 24];
        turn.rng.fill_bytes(&mut bytes);
        let auth = URL_SAFE_NO_PAD.encode(bytes);
        self.auths.insert(auth.clone(), id.clone());
        auth
    }

    /// Where a file of this kind is to be had. Clients append to the query, so there is one.
    pub fn direct_path(kind: &str, token: &str) -> String {
        format!("/v/{kind}/{token}?ccb=11-4")
    }

    /// The same with the host.
    pub fn url(&self, direct_path: &str) -> String {
        format!("https://{}{direct_path}", self.host)
    }
}

impl World {
    /// Whose request it is, if it is let in.
    pub(crate) fn admit_upload(&mut self, auth: &str) -> Result<DeviceId, MediaError> {
        let holder =
            self.media.auths.get(auth).cloned().filter(|id| self.exists(id)).ok_or(MediaError::Auth)?;
        match self.faults.refuse_media(Some(&holder), Transfer::Upload) {
            Some(code) => Err(MediaError::Refused(code)),
            None => Ok(holder),
        }
    }

    /// A file for whoever knows its token. `auth` may be shown, and says who asks.
    pub(crate) fn download(&mut self, auth: Option<&str>, token: &str) -> Result<Arc<[u8]>, MediaError> {
        let holder = auth.and_then(|auth| self.media.auths.get(auth)).cloned();
        match self.faults.refuse_media(holder.as_ref(), Transfer::Download) {
            Some(code) => Err(MediaError::Refused(code)),
            None => self.media.get(token),
        }
    }

    /// Whether a phone may upload now.
    pub(crate) fn admit_phones_upload(&mut self, number: &str) -> Result<(), MediaError> {
        let refused = self.faults.refuse_media(Some(&DeviceId::new(number, 0)), Transfer::Upload);
        refused.map_or(Ok(()), |code| Err(MediaError::Refused(code)))
    }

    /// A phone fetches the files of the messages that it got.
    pub(crate) fn phone_downloads(&mut self, number: &str) {
        let Self { accounts, media, faults, .. } = self;
        let Some(account) = accounts.get_mut(number).filter(|account| account.phone.waits_for_files()) else {
            return;
        };
        let phone = DeviceId::new(number, 0);
        account.phone.open_files(&mut |path| {
            if let Some(code) = faults.refuse_media(Some(&phone), Transfer::Download) {
                return Err(MediaError::Refused(code).to_string());
            }
            let token = path.rsplit('/').next().unwrap_or_default();
            media.get(token).map_err(|error| error.to_string())
        });
    }
}

#[cfg(test)]
mod tests;
