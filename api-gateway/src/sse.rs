//! Server-sent events, read from pieces of a stream.
//!
//! Comes in: bytes as they arrive. Goes out: whole [`Frame`]s. Pure; it holds one unfinished frame of bounded size.

/// Largest frame, in bytes.
pub const MAX_FRAME: usize = 8 * 1024 * 1024;

/// One event of a stream. Comments (keep-alives) are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its id.
    pub id: Option<String>,
    /// Its data; several lines are joined by line breaks.
    pub data: String,
}

/// A frame is larger than [`MAX_FRAME`]: whoever sends this is not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {MAX_FRAME} bytes")]
pub struct FrameTooLarge;

/// The unfinished rest of a stream.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    frame: Frame,
}

impl Reader {
    /// Takes the next piece and gives the frames that it completes.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<Vec<Frame>, FrameTooLarge> {
        let mut frames = Vec::new();
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&piece[..end]);
            piece = &piece[end + 1..];
            let line = std::mem::take(&mut self.line);
            frames.extend(self.finish_line(&line)?);
        }
        if self.frame.data.len() + self.line.len() + piece.len() > MAX_FRAME {
            return Err(FrameTooLarge);
        }
        self.line.extend_from_slice(piece);
        Ok(frames)
    }

    fn finish_line(&mut self, line: &[u8]) -> Result<Option<Frame>, FrameTooLarge> {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if line.is_empty() {
            let frame = std::mem::take(&mut self.frame);
            return Ok((!frame.data.is_empty()).then_some(frame));
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.frame.id = Some(value.to_owned()),
            "data" if self.frame.data.len() + value.len() > MAX_FRAME => return Err(FrameTooLarge),
            "data" => {
                if !self.frame.data.is_empty() {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
            }
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\nid: 7\nevent: message_received\ndata: {\"a\":1}\n\nevent: qr\r\ndata:x\r\ndata: y\r\n\r\nid: 8\n\n";

    #[test]
    fn frames_are_the_same_however_they_arrive() {
        let expected = vec![
            Frame { id: Some("7".to_owned()), data: "{\"a\":1}".to_owned() },
            Frame { id: None, data: "x\ny".to_owned() },
        ];
        for size in [1, 2, 3, 7, STREAM.len()] {
            let mut reader = Reader::default();
            let frames: Vec<_> =
                STREAM.as_bytes().chunks(size).flat_map(|piece| reader.push(piece).unwrap()).collect();
            assert_eq!(frames, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_frame_is_bounded() {
        let mut reader = Reader::default();
        assert_eq!(reader.push(&vec![b'x'; MAX_FRAME + 1]), Err(FrameTooLarge));
        let mut reader = Reader::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; 1_000_000], b"\n"].concat();
        let refused = (0..20).find_map(|_| reader.push(&line).err());
        assert_eq!(refused, Some(FrameTooLarge), "many lines count together");
    }
}
