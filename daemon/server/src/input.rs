//! What people say, on its way in: bounded, images checked and put into the store, so that the log holds their
//! names only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::SessionId;
use protocol::turn::InputPart;
use store::Blobs;

/// Text of one input, in bytes. Escaped as JSON it still fits into one message.
const MAX_TEXT_BYTES: usize = 2 * 1024 * 1024;
/// One image, in bytes of its file.
const MAX_IMAGE_BYTES: usize = 8 * 1024 * 1024;
/// Parts of one input.
const MAX_PARTS: usize = 64;

/// Takes an input in: the same parts with every image in the store.
///
/// # Errors
/// `InvalidRequest` for what no turn can be made of; what the store says.
pub(crate) async fn take_in(
    blobs: &Blobs,
    session: SessionId,
    input: Vec<InputPart>,
) -> Result<Vec<InputPart>, ProtocolError> {
    check(&input)?;
    let mut taken = Vec::with_capacity(input.len());
    for part in input {
        taken.push(match part {
            InputPart::Text { text } => InputPart::Text { text },
            InputPart::Image { media_type, data } => {
                let bytes = decode(&media_type, &data)?;
                InputPart::StoredImage { media_type, blob: blobs.put(session, bytes).await? }
            }
            InputPart::StoredImage { .. } => {
                return Err(invalid("An image must be sent with its content")
                    .with_hint("`storedImage` is how the log keeps it; send `image`"));
            }
            InputPart::Skill { .. } => {
                return Err(
                    invalid("A skill can't be sent").with_hint("Write `$` and its name into the text")
                );
            }
            InputPart::Resource { .. } => {
                return Err(invalid("A resource can't be sent")
                    .with_hint("Write `@`, the MCP server's name, `:` and the address into the text"));
            }
            InputPart::Unknown(_) => return Err(invalid("The input has a part of a kind that is not known")),
        });
    }
    Ok(taken)
}

/// All that an input says in words.
pub(crate) fn words(input: &[InputPart]) -> String {
    let texts = input.iter().filter_map(|part| match part {
        InputPart::Text { text } => Some(text.as_str()),
        InputPart::Image { .. }
        | InputPart::StoredImage { .. }
        | InputPart::Skill { .. }
        | InputPart::Resource { .. }
        | InputPart::Unknown(_) => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn check(input: &[InputPart]) -> Result<(), ProtocolError> {
    let is_empty = |part: &InputPart| matches!(part, InputPart::Text { text } if text.trim().is_empty());
    if input.iter().all(is_empty) {
        return Err(invalid("The input is empty"));
    }
    if input.len() > MAX_PARTS {
        return Err(invalid(format!("The input has {} parts; {MAX_PARTS} are allowed", input.len())));
    }
    let text_bytes: usize = input
        .iter()
        .map(|part| match part {
            InputPart::Text { text } => text.len(),
            InputPart::Image { .. }
            | InputPart::StoredImage { .. }
            | InputPart::Skill { .. }
            | InputPart::Resource { .. }
            | InputPart::Unknown(_) => 0,
        })
        .sum();
    if text_bytes > MAX_TEXT_BYTES {
        let message = format!("The input has {text_bytes} bytes of text; {MAX_TEXT_BYTES} are allowed");
        return Err(invalid(message).with_hint("Put it into a file and name the file"));
    }
    Ok(())
}

/// The file of an image, if it is what it is said to be.
fn decode(media_type: &str, data: &str) -> Result<Vec<u8>, ProtocolError> {
    // Checked before decoding: base64 is a third longer.
    if data.len() / 4 * 3 > MAX_IMAGE_BYTES {
        return Err(invalid(format!("An image has more than {MAX_IMAGE_BYTES} bytes"))
            .with_hint("Send it smaller; models scale large images down anyway"));
    }
    let bytes =
        STANDARD.decode(data).map_err(|error| invalid(format!("An image is not valid base64: {error}")))?;
    match recognise(&bytes) {
        Some(found) if found == media_type => Ok(bytes),
        Some(found) => {
            Err(invalid(format!("An image is `{found}`, not `{media_type}` as it was said to be")))
        }
        None => Err(invalid(format!("What was sent as `{media_type}` is not an image that models take"))
            .with_hint("PNG, JPEG, GIF and WebP can be sent")),
    }
}

/// The media type by the first bytes of a file.
fn recognise(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

fn invalid(message: impl Into<String>) -> ProtocolError {
    ProtocolError::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> InputPart {
        InputPart::Text { text: text.to_owned() }
    }

    #[test]
    fn images_are_what_they_are_said_to_be() {
        let png = STANDARD.encode(b"\x89PNG\r\n\x1a\nrest");
        assert!(decode("image/png", &png).is_ok());
        let message = |media_type, data: &str| decode(media_type, data).expect_err("refused").message;
        assert!(message("image/jpeg", &png).contains("`image/png`, not `image/jpeg`"));
        assert!(message("image/png", &STANDARD.encode(b"#!/bin/sh")).contains("not an image"));
        assert!(message("image/png", "%%%").contains("base64"));
        assert!(message("image/png", &"A".repeat(MAX_IMAGE_BYTES * 3 / 2)).contains("more than"));
    }

    #[test]
    fn formats_are_recognised_by_their_first_bytes() {
        for (bytes, expected) in [
            (&b"\xff\xd8\xff\xe0"[..], Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"GIF87a", Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"RIFF\0\0\0\0WAVE", None),
            (b"<svg>", None),
            (b"", None),
        ] {
            assert_eq!(recognise(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn inputs_have_limits() {
        assert!(check(&[text("hello")]).is_ok());
        assert!(check(&[]).is_err());
        assert!(check(&[text(" \n")]).is_err());
        assert!(check(&[text("hello"), text("")]).is_ok());
        assert!(check(&vec![text("x"); MAX_PARTS + 1]).is_err());
        assert!(check(&[text(&"x".repeat(MAX_TEXT_BYTES + 1))]).is_err());
    }
}
