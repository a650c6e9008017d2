//! What came of a call, as the item has it: text for the model, bounded and harmless, images in the store, and the
//! structured form for clients.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use protocol::ids::BlobId;
use protocol::item::{ItemBody, ItemStatus, OtherToolCall, ToolConsent, ToolContent};
use protocol::tool::ToolCall;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use tools::output::Spools;
use tools::tool::RunOutcome;

use crate::error::McpError;
use crate::text;

/// Bytes of the text that a model is told.
const MAX_TEXT: usize = 48 * 1024;
/// Bytes of the structured form as JSON.
const MAX_STRUCTURED: usize = 256 * 1024;
/// Parts of a result.
const MAX_PARTS: usize = 64;
/// Images that a model is shown of one result.
const MAX_IMAGES: usize = 8;
/// Bytes of what is no text, decoded.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of a name or an address.
const MAX_NAME: usize = 512;

/// A call that was not made yet.
pub(crate) fn begun(call: &ToolCall, server: &str, consent: Option<ToolConsent>) -> ItemBody {
    ItemBody::ToolCall(OtherToolCall {
        call: call.clone(),
        server: Some(server.to_owned()),
        consent: consent.map(Box::new),
        output: None,
        content: Vec::new(),
        structured: None,
    })
}

/// A call, with what came of it.
pub(crate) async fn ended(
    mut call: OtherToolCall,
    called: Result<CallToolResult, McpError>,
    spools: &dyn Spools,
) -> RunOutcome {
    let error = match called {
        Ok(result) => return fill(call, result, spools).await,
        Err(error) => error,
    };
    let status = if error == McpError::Interrupted { ItemStatus::Interrupted } else { ItemStatus::Failed };
    call.output = Some(error.to_string());
    RunOutcome { status, body: ItemBody::ToolCall(call) }
}

/// Fills in what a server answered.
async fn fill(mut call: OtherToolCall, result: CallToolResult, spools: &dyn Spools) -> RunOutcome {
    let mut told: Vec<String> = Vec::new();
    let left_out = result.content.len().saturating_sub(MAX_PARTS);
    for part in result.content.into_iter().take(MAX_PARTS) {
        match part {
            ContentBlock::Text(part) => told.push(text::plain(&part.text)),
            ContentBlock::Image(image) => {
                let shown = call.content.len();
                told.push(match picture(&image.data, shown, spools).await {
                    Ok((content, text)) => {
                        call.content.push(content);
                        text
                    }
                    Err(why) => format!("[an image that can't be shown: {why}]"),
                });
            }
            ContentBlock::Audio(audio) => {
                told.push(kept("audio", &audio.mime_type, &audio.data, spools).await);
            }
            ContentBlock::Resource(embedded) => told.push(resource(embedded.resource, spools).await),
            ContentBlock::ResourceLink(link) => {
                let name = text::line(&link.name, MAX_NAME);
                told.push(format!("[resource `{name}`: {}]", text::line(&link.uri, MAX_NAME)));
            }
            _ => told.push("[a part of a kind that is not known here]".to_owned()),
        }
    }
    if left_out > 0 {
        told.push(format!("[{left_out} more parts left out]"));
    }
    let structured = result.structured_content;
    let json = structured.as_ref().map(ToString::to_string);
    // Many servers say the same twice, as text and as a structure; who gives a structure alone means it as the answer.
    if told.is_empty()
        && let Some(json) = &json
    {
        told.push(text::plain(json));
    }
    let is_error = result.is_error.unwrap_or(false);
    if told.is_empty() {
        told.push(
            if is_error { "It failed, and did not say why" } else { "Done; it said nothing" }.to_owned(),
        );
    }
    call.output = Some(text::bounded(&told.join("\n"), MAX_TEXT));
    call.structured = structured.filter(|_| json.is_some_and(|json| json.len() <= MAX_STRUCTURED));
    let status = if is_error { ItemStatus::Failed } else { ItemStatus::Completed };
    RunOutcome { status, body: ItemBody::ToolCall(call) }
}

async fn resource(contents: ResourceContents, spools: &dyn Spools) -> String {
    match contents {
        ResourceContents::TextResourceContents { uri, text, .. } => {
            format!("[{}]\n{}", text::line(&uri, MAX_NAME), text::plain(&text))
        }
        ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
            let kind = text::line(&uri, MAX_NAME);
            kept(&kind, mime_type.as_deref().unwrap_or("application/octet-stream"), &blob, spools).await
        }
        _ => "[a resource of a kind that is not known here]".to_owned(),
    }
}

/// An image, decoded and encoded anew, so that no bytes of the server itself go to a provider.
async fn picture(data: &str, shown: usize, spools: &dyn Spools) -> Result<(ToolContent, String), String> {
    if shown >= MAX_IMAGES {
        return Err(format!("{MAX_IMAGES} are enough"));
    }
    let bytes = decoded(data)?;
    let making = tokio::task::spawn_blocking(move || tools::view_image::picture(&bytes));
    let picture = making.await.map_err(|error| error.to_string())??;
    let blob = keep(&picture.bytes, spools).await?;
    Ok((
        ToolContent::Image { media_type: picture.media_type.to_owned(), blob },
        format!("[{}]", picture.told),
    ))
}

/// What no model is shown is kept for people.
async fn kept(kind: &str, media_type: &str, data: &str, spools: &dyn Spools) -> String {
    let media_type = text::line(media_type, 100);
    let keeping = async {
        let bytes = decoded(data)?;
        Ok::<_, String>((bytes.len(), keep(&bytes, spools).await?))
    };
    match keeping.await {
        Ok((bytes, blob)) => format!("[{kind}: {media_type}, {bytes} bytes, kept as {}]", blob.0),
        Err(why) => format!("[{kind}: {media_type}, not kept: {why}]"),
    }
}

fn decoded(data: &str) -> Result<Vec<u8>, String> {
    if data.len() / 4 * 3 > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes"));
    }
    BASE64_STANDARD.decode(data).map_err(|_| "it is no base64".to_owned())
}

async fn keep(bytes: &[u8], spools: &dyn Spools) -> Result<BlobId, String> {
    let failed = |error: std::io::Error| format!("it can't be kept: {error}");
    let mut spool = spools.open().await.map_err(failed)?;
    spool.write(bytes).await.map_err(failed)?;
    spool.finish().await.map_err(failed)
}
