//! What is said to the model: the prompt, context from standard input, images. Knows nothing of sessions.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::turn::InputPart;

use crate::error::CliError;
use crate::exec::stdin::Wanted;

/// More than a request to the daemon can hold, in base64.
const MOST_IMAGE_BYTES: u64 = 12 * 1024 * 1024;

/// What standard input is for, given the prompt argument.
pub(crate) fn wanted(argument: Option<&str>) -> Wanted {
    match argument {
        None | Some("-") => Wanted::Prompt,
        Some(_) => Wanted::Context,
    }
}

/// Puts the argument and what came over standard input together.
pub(crate) fn assemble(argument: Option<&str>, piped: Option<&str>) -> Result<String, CliError> {
    let missing = || CliError::usage("The prompt is empty", "Say what is to be done");
    let text = match (argument.filter(|argument| *argument != "-"), piped) {
        (None, Some(piped)) => piped.trim().to_owned(),
        (Some(argument), None) => argument.to_owned(),
        (Some(argument), Some(piped)) => {
            format!("{argument}\n\n<stdin>\n{}\n</stdin>", piped.trim_end_matches('\n'))
        }
        (None, None) => return Err(missing()),
    };
    if text.trim().is_empty() { Err(missing()) } else { Ok(text) }
}

/// Reads an image.
pub(crate) fn image(path: &Path) -> Result<InputPart, CliError> {
    let wrap = |source| CliError::File { action: "read", path: path.to_owned(), source };
    if fs::metadata(path).map_err(wrap)?.len() > MOST_IMAGE_BYTES {
        return Err(CliError::usage(
            format!("The image `{}` is larger than 12 MB", path.display()),
            "Make it smaller",
        ));
    }
    let bytes = fs::read(path).map_err(wrap)?;
    let media_type = media_type(&bytes).ok_or_else(|| {
        CliError::usage(
            format!("`{}` is no image that models take", path.display()),
            "Convert it to PNG, JPEG, GIF or WebP",
        )
    })?;
    Ok(InputPart::Image { media_type: media_type.to_owned(), data: STANDARD.encode(bytes) })
}

/// Tells the kind of an image by its first bytes.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_comes_from_where_it_is_said_to() {
        for (argument, piped, text) in [
            (Some("do it"), None, "do it"),
            (None, Some("from a pipe\n"), "from a pipe"),
            (Some("-"), Some("from a pipe\n"), "from a pipe"),
            (Some("review"), Some("+a\n-b\n"), "review\n\n<stdin>\n+a\n-b\n</stdin>"),
        ] {
            assert_eq!(assemble(argument, piped).unwrap(), text);
        }
    }

    #[test]
    fn no_prompt_is_wrong_usage() {
        for (argument, piped) in [(None, None), (Some("-"), None), (Some("  "), None)] {
            assert!(matches!(assemble(argument, piped), Err(CliError::Usage { .. })));
        }
    }

    #[test]
    fn images_are_told_by_their_first_bytes() {
        assert_eq!(media_type(b"\x89PNG\r\n\x1a\n"), Some("image/png"));
        assert_eq!(media_type(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(media_type(b"GIF89a"), Some("image/gif"));
        assert_eq!(media_type(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        assert_eq!(media_type(b"<svg/>"), None);
    }
}
