//! The frames of the Language Server Protocol, base protocol: headers, an empty line, and as many bytes of JSON as a
//! header says. Knows no message.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// The longest message.
pub(crate) const MAX_BODY: usize = 16 * 1024 * 1024;
/// All headers of a message together.
const MAX_HEADERS: u64 = 4 * 1024;

/// What is no frame. After it nothing of the stream can be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It could not be read.
    #[error("It can't be read: {0}")]
    Io(#[from] io::Error),
    /// The stream ends in the middle.
    #[error("It ends in the middle of a message")]
    Cut,
    /// The headers are none.
    #[error("A message has no headers, or too many")]
    Headers,
    /// The message is longer than it may be.
    #[error("A message of {0} bytes is too long")]
    TooLong(usize),
}

/// The next message; `None` at the end. Not cancel safe.
pub(crate) async fn read(input: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Vec<u8>>, FrameError> {
    let mut room = MAX_HEADERS;
    let mut length = None;
    loop {
        let mut line = Vec::new();
        let count = (&mut *input).take(room).read_until(b'\n', &mut line).await?;
        if count == 0 && room == MAX_HEADERS {
            return Ok(None);
        }
        room = room.saturating_sub(count as u64);
        if line.last() != Some(&b'\n') {
            return Err(if room == 0 { FrameError::Headers } else { FrameError::Cut });
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            break;
        }
        let line = std::str::from_utf8(line).map_err(|_| FrameError::Headers)?;
        let (name, value) = line.split_once(':').ok_or(FrameError::Headers)?;
        if name.trim().eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>().map_err(|_| FrameError::Headers)?);
        }
    }
    let length = length.ok_or(FrameError::Headers)?;
    if length > MAX_BODY {
        return Err(FrameError::TooLong(length));
    }
    // It grows with what comes, not with what is promised.
    let mut body = Vec::new();
    input.take(length as u64).read_to_end(&mut body).await?;
    if body.len() < length { Err(FrameError::Cut) } else { Ok(Some(body)) }
}

/// The frame of a message.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    frame.extend_from_slice(body);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    async fn all(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut found = Vec::new();
        while let Some(body) = read(&mut bytes).await? {
            found.push(body);
        }
        Ok(found)
    }

    fn now(bytes: &[u8]) -> Result<Vec<Vec<u8>>, FrameError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(all(bytes))
    }

    #[test]
    fn what_is_written_is_read_whatever_other_headers_say() {
        let mut bytes = frame(b"{}");
        bytes.extend(b"content-type: x\ncontent-LENGTH:  3 \n\nabc");
        assert_eq!(now(&bytes).expect("frames"), [b"{}".to_vec(), b"abc".to_vec()]);
        assert_eq!(now(b"").expect("end"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn what_is_no_frame_is_an_error_and_costs_little() {
        assert!(matches!(now(b"hello\r\n\r\n"), Err(FrameError::Headers)));
        assert!(matches!(now(b"Content-Length: -1\r\n\r\n"), Err(FrameError::Headers)));
        assert!(matches!(now(b"Content-Type: x\r\n\r\n"), Err(FrameError::Headers)));
        assert!(matches!(now(b"Content-Length: 99999999999\r\n\r\n"), Err(FrameError::TooLong(_))));
        assert!(matches!(now(b"Content-Length: 10\r\n\r\nshort"), Err(FrameError::Cut)));
        assert!(matches!(now(b"Content-Len"), Err(FrameError::Cut)));
        assert!(matches!(now(&b"a: b\r\n".repeat(10_000)), Err(FrameError::Headers)));
        assert!(matches!(now(&[b'x'; 100_000]), Err(FrameError::Headers)));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = now(&bytes);
        }
    }
}
