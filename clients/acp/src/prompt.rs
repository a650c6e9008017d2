//! What the editor's person says, as input of a turn.

use protocol::turn::InputPart;

use crate::rpc::RpcError;
use crate::schema::content::{Embedded, PromptPart};

/// The kinds of images that a model may be shown.
const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// The parts in order, and after them what is embedded as context. Links stand in the text where they were put.
pub(crate) fn input(parts: Vec<PromptPart>) -> Result<Vec<InputPart>, RpcError> {
    let mut input = Vec::new();
    let mut text = String::new();
    let mut context = String::new();
    for part in parts {
        match part {
            PromptPart::Text { text: said } => text.push_str(&said),
            PromptPart::ResourceLink { uri, name } => text.push_str(&link(&uri, &name)),
            PromptPart::Resource { resource: Embedded::Text { uri, text: held } } => {
                text.push_str(&link(&uri, &uri));
                context.push_str(&embedded(&uri, &held));
            }
            PromptPart::Resource { resource: Embedded::Blob { blob, mime_type: Some(media_type), .. } }
                if IMAGES.contains(&media_type.as_str()) =>
            {
                flush(&mut text, &mut input);
                input.push(InputPart::Image { media_type, data: blob });
            }
            PromptPart::Resource { resource: Embedded::Blob { uri, .. } } => {
                return Err(RpcError::invalid_params(format!("`{uri}` is neither text nor an image")));
            }
            PromptPart::Image { data, mime_type: media_type } => {
                if !IMAGES.contains(&media_type.as_str()) {
                    let known = IMAGES.join(", ");
                    return Err(RpcError::invalid_params(format!(
                        "An image is `{media_type}`, and only {known} can be shown"
                    )));
                }
                flush(&mut text, &mut input);
                input.push(InputPart::Image { media_type, data });
            }
            PromptPart::Audio {} => return Err(RpcError::invalid_params("Audio can't be taken")),
            PromptPart::Unknown => {
                return Err(RpcError::invalid_params(
                    "A part of the prompt is of a kind that is not known here",
                ));
            }
        }
    }
    flush(&mut text, &mut input);
    flush(&mut context, &mut input);
    if input.is_empty() {
        return Err(RpcError::invalid_params("The prompt is empty"));
    }
    Ok(input)
}

/// The text that a prompt begins with.
pub(crate) fn first_text(input: &[InputPart]) -> Option<&str> {
    match input.first() {
        Some(InputPart::Text { text }) => Some(text),
        Some(
            InputPart::Image { .. }
            | InputPart::StoredImage { .. }
            | InputPart::Skill { .. }
            | InputPart::Resource { .. }
            | InputPart::Unknown(_),
        )
        | None => None,
    }
}

/// What stands in the text for something that is linked: the path of a file, for the agent to look at.
fn link(uri: &str, name: &str) -> String {
    match file(uri) {
        Some(path) => format!("`{path}`"),
        None if name == uri => format!("<{uri}>"),
        None => format!("[{name}]({uri})"),
    }
}

/// The path in a `file:` address, its escapes undone.
pub(crate) fn file(uri: &str) -> Option<String> {
    let path = uri.strip_prefix("file://")?;
    let path = path.split(['#', '?']).next().unwrap_or(path);
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|digits| {
            std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
        });
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok().filter(|path| path.starts_with('/'))
}

fn embedded(uri: &str, text: &str) -> String {
    let name = file(uri).unwrap_or_else(|| uri.to_owned());
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("<context source=\"{name}\">\n{text}{end}</context>\n")
}

fn flush(text: &mut String, input: &mut Vec<InputPart>) {
    let said = std::mem::take(text);
    if !said.trim().is_empty() {
        input.push(InputPart::Text { text: said });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn input(parts: Value) -> Result<Vec<InputPart>, RpcError> {
        super::input(serde_json::from_value(parts).unwrap())
    }

    fn text(text: &str) -> InputPart {
        InputPart::Text { text: text.to_owned() }
    }

    #[test]
    fn links_stand_where_they_were_put_and_context_comes_after() {
        let parts = json!([
            {"type": "text", "text": "Mend "},
            {"type": "resource_link", "uri": "file:///w/a%20b.rs#L3", "name": "a b.rs"},
            {"type": "text", "text": " like "},
            {"type": "resource", "resource": {"uri": "file:///w/c.rs", "text": "fn c() {}"}},
            {"type": "text", "text": " and ", "annotations": {"priority": 0.5}},
            {"type": "resource_link", "uri": "https://example.org/x", "name": "the page"},
        ]);
        assert_eq!(
            input(parts).unwrap(),
            [
                text("Mend `/w/a b.rs` like `/w/c.rs` and [the page](https://example.org/x)"),
                text("<context source=\"/w/c.rs\">\nfn c() {}\n</context>\n"),
            ]
        );
    }

    #[test]
    fn images_keep_their_place() {
        let parts = json!([
            {"type": "text", "text": "See"},
            {"type": "image", "data": "QUJD", "mimeType": "image/png"},
            {"type": "text", "text": "?"},
        ]);
        let image = InputPart::Image { media_type: "image/png".to_owned(), data: "QUJD".to_owned() };
        assert_eq!(input(parts).unwrap(), [text("See"), image, text("?")]);
    }

    #[test]
    fn what_can_not_be_taken_is_refused() {
        for parts in [
            json!([]),
            json!([{"type": "text", "text": " \n"}]),
            json!([{"type": "audio", "data": "", "mimeType": "audio/wav"}]),
            json!([{"type": "image", "data": "", "mimeType": "image/svg+xml"}]),
            json!([{"type": "resource", "resource": {"uri": "file:///x", "blob": ""}}]),
            json!([{"type": "hologram"}]),
        ] {
            assert_eq!(input(parts.clone()).unwrap_err().code, -32602, "{parts}");
        }
    }
}
