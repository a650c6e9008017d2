//! What the editor's buffers hold and the disk does not: a file that a prompt links to is given as the person sees it.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::editor::Editor;
use crate::prompt;
use crate::schema::content::{Embedded, PromptPart};

/// How long the editor is waited for. Without its answer, what is on disk counts.
const LIMIT: Duration = Duration::from_secs(2);
/// Files that are asked for in one prompt.
const MAX_FILES: usize = 8;
/// The longest text that is put into a prompt in this way.
const MAX_BYTES: usize = 256 * 1024;

/// The parts, where links to files with changes that are not saved became the text in the editor. Only for an editor
/// that offers to tell.
pub(crate) async fn unsaved(editor: &Editor, session: &str, parts: Vec<PromptPart>) -> Vec<PromptPart> {
    if !editor.capabilities().is_some_and(|capabilities| capabilities.reads_files) {
        return parts;
    }
    let mut seen = Vec::with_capacity(parts.len());
    let mut asked = 0;
    for part in parts {
        let path = match &part {
            PromptPart::ResourceLink { uri, .. } if asked < MAX_FILES => prompt::file(uri),
            PromptPart::ResourceLink { .. }
            | PromptPart::Text { .. }
            | PromptPart::Image { .. }
            | PromptPart::Audio {}
            | PromptPart::Resource { .. }
            | PromptPart::Unknown => None,
        };
        let Some(path) = path else {
            seen.push(part);
            continue;
        };
        asked += 1;
        seen.push(match (buffer(editor, session, &path).await, part) {
            (Some(text), PromptPart::ResourceLink { uri, .. }) => {
                PromptPart::Resource { resource: Embedded::Text { uri, text } }
            }
            (_, part) => part,
        });
    }
    seen
}

/// What the editor has of a file, if that is not what is on disk.
async fn buffer(editor: &Editor, session: &str, path: &str) -> Option<String> {
    let asking = editor.ask("fs/read_text_file", &json!({"sessionId": session, "path": path})).await;
    let Ok(answer) = tokio::time::timeout(LIMIT, asking.answer).await else {
        editor.take_back(asking.id).await;
        return None;
    };
    let answer = answer.ok()?.ok()?;
    let text = answer["content"].as_str()?;
    (text.len() <= MAX_BYTES && !is_on_disk(path, text).await).then(|| text.to_owned())
}

async fn is_on_disk(path: &str, text: &str) -> bool {
    let Ok(file) = tokio::fs::File::open(path).await else { return false };
    let mut saved = Vec::new();
    // One byte more tells a longer file.
    let read = file.take(text.len() as u64 + 1).read_to_end(&mut saved).await;
    read.is_ok() && saved == text.as_bytes()
}
