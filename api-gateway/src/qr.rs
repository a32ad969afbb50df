//! QR codes as pictures.
//!
//! Comes in: the text that the code encodes. Goes out: PNG, SVG or a data URL. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ExtendedColorType, ImageEncoder as _, Luma, codecs::png::PngEncoder};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

/// Longest text, in bytes. WhatsApp's codes have some 240.
pub const MAX_TEXT: usize = 1024;
/// Smallest edge of a picture, in pixels.
const EDGE: u32 = 320;

/// Why there is no picture.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum QrError {
    /// Nothing, or too much.
    #[error("a QR code holds 1 to {MAX_TEXT} bytes")]
    Length,
    /// The code or the picture could not be made.
    #[error("the QR code cannot be drawn: {0}")]
    Draw(String),
}

/// A PNG, black on white with a quiet zone.
pub fn png(text: &str) -> Result<Vec<u8>, QrError> {
    let picture = encode(text)?.render::<Luma<u8>>().min_dimensions(EDGE, EDGE).build();
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::L8)
        .map_err(|error| QrError::Draw(error.to_string()))?;
    Ok(bytes)
}

/// An SVG of the same.
pub fn svg(text: &str) -> Result<String, QrError> {
    Ok(encode(text)?.render::<svg::Color<'_>>().min_dimensions(EDGE, EDGE).build())
}

/// The PNG as `data:image/png;base64,…`.
pub fn data_url(text: &str) -> Result<String, QrError> {
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png(text)?)))
}

fn encode(text: &str) -> Result<QrCode, QrError> {
    if !(1..=MAX_TEXT).contains(&text.len()) {
        return Err(QrError::Length);
    }
    QrCode::with_error_correction_level(text, EcLevel::L).map_err(|error| QrError::Draw(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_pictures() {
        let png = png("2@abc,def,ghi").unwrap();
        let picture = image::load_from_memory(&png).unwrap().to_luma8();
        assert!(picture.width() >= EDGE && picture.width() == picture.height());
        assert_eq!(picture.get_pixel(0, 0).0, [255], "a quiet zone");
        assert!(picture.pixels().any(|pixel| pixel.0 == [0]));
        assert!(svg("2@abc").unwrap().contains("<svg"));
        assert!(data_url("2@abc").unwrap().starts_with("data:image/png;base64,iVBOR"));
    }

    #[test]
    fn texts_are_bounded() {
        assert_eq!(png(""), Err(QrError::Length));
        assert_eq!(png(&"x".repeat(MAX_TEXT + 1)), Err(QrError::Length));
        assert!(png(&"ü".repeat(MAX_TEXT / 2)).is_ok());
    }
}
