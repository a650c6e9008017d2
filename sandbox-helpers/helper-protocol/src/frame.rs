//! Messages on the wire between daemon and helper: four bytes of length, little end first, then JSON. Knows no
//! message.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long a message may be. Linux takes at most 2 MiB of arguments and environment by default.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// How many bytes tell the length.
pub const HEADER_BYTES: usize = 4;

/// Why a message can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It is longer than [`MAX_BYTES`].
    #[error("A message of {bytes} bytes is too long")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is not the JSON that was expected.
    #[error("A message is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Header and body of a message.
///
/// # Errors
/// `TooLong`; `Malformed` where JSON can't say it.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut frame, message)?;
    let bytes = frame.len() - HEADER_BYTES;
    let too_long = FrameError::TooLong { bytes };
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= MAX_BYTES).ok_or(too_long)?;
    frame[..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// The length of the body that follows this header.
///
/// # Errors
/// `TooLong`.
pub fn body_bytes(header: [u8; HEADER_BYTES]) -> Result<usize, FrameError> {
    let bytes = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    if bytes > MAX_BYTES { Err(FrameError::TooLong { bytes }) } else { Ok(bytes) }
}

/// The message in this body.
///
/// # Errors
/// `Malformed`.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    Ok(serde_json::from_slice(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_and_a_huge_one_is_refused() {
        let frame = encode(&"hello").expect("encodes");
        let header = frame[..HEADER_BYTES].try_into().expect("header");
        assert_eq!(body_bytes(header).expect("length"), frame.len() - HEADER_BYTES);
        assert_eq!(decode::<String>(&frame[HEADER_BYTES..]).expect("decodes"), "hello");

        assert!(matches!(encode(&"x".repeat(MAX_BYTES)), Err(FrameError::TooLong { .. })));
        assert!(matches!(body_bytes([0xff; 4]), Err(FrameError::TooLong { .. })));
        assert!(matches!(decode::<String>(b"7"), Err(FrameError::Malformed(_))));
    }
}
