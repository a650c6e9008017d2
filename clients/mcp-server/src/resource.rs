//! Resources: what was said and done in a session, and what it changed in files.

use client::{ClientError, ConnectOptions, Connection};
use protocol::api::diff::DiffClient;
use protocol::api::session::SessionClient;
use protocol::diff::DiffReadParams;
use protocol::ids::SessionId;
use protocol::item::ItemBody;
use protocol::session::{SessionListParams, SessionReadParams};
use protocol::turn::{InputPart, Turn};
use rmcp::model::{Resource, ResourceTemplate};
use view::{escape, reviews, words};

/// Sessions whose resources are listed.
const LISTED: u32 = 25;
/// Turns of a log that are shown.
const TURNS: u32 = 50;
/// Letters of one output in a log.
const MAX_OUTPUT: usize = 4000;
/// Letters of one resource.
const MAX_TEXT: usize = 512 * 1024;

/// What of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What was said and done.
    Log,
    /// What it changed in files.
    Diff,
}

/// The address of a part of a session.
pub(crate) fn address(session: SessionId, part: Part) -> String {
    match part {
        Part::Log => format!("skein://session/{session}/log"),
        Part::Diff => format!("skein://session/{session}/diff"),
    }
}

/// What an address names.
pub(crate) fn named(uri: &str) -> Option<(SessionId, Part)> {
    let (id, part) = uri.strip_prefix("skein://session/")?.split_once('/')?;
    let part = match part {
        "log" => Part::Log,
        "diff" => Part::Diff,
        _ => return None,
    };
    Some((id.parse().ok()?, part))
}

/// The parts of the newest sessions.
pub(crate) async fn list(options: ConnectOptions) -> Result<Vec<Resource>, ClientError> {
    let mut connection = Connection::open(options).await?;
    let params = SessionListParams { limit: Some(LISTED), ..SessionListParams::default() };
    let listed = connection.call(async |rpc| SessionClient::list(rpc, params.clone()).await).await?;
    let resources = listed.sessions.iter().flat_map(|summary| {
        let name = summary.title.clone().unwrap_or_else(|| summary.id.to_string());
        let name = escape::short_line(&name, 80);
        [(Part::Log, "log", "text/markdown"), (Part::Diff, "diff", "text/x-diff")].map(
            |(part, word, kind)| {
                Resource::new(address(summary.id, part), format!("{name}: {word}")).with_mime_type(kind)
            },
        )
    });
    Ok(resources.collect())
}

/// The forms of the addresses.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new("skein://session/{sessionId}/log", "log")
            .with_description("What was said and done in a session")
            .with_mime_type("text/markdown"),
        ResourceTemplate::new("skein://session/{sessionId}/diff", "diff")
            .with_description("What a session changed in files")
            .with_mime_type("text/x-diff"),
    ]
}

/// A part of a session as text.
pub(crate) async fn read(
    options: ConnectOptions,
    session_id: SessionId,
    part: Part,
) -> Result<String, ClientError> {
    let mut connection = Connection::open(options).await?;
    let text = match part {
        Part::Log => {
            let params = SessionReadParams { session_id, skip_turns: 0, limit: Some(TURNS) };
            let read = connection.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await?;
            let mut text = String::new();
            if read.earlier_turns > 0 {
                text.push_str(&format!("({} turns before these are not shown)\n\n", read.earlier_turns));
            }
            for turn in &read.turns {
                log(turn, &mut text);
            }
            text
        }
        Part::Diff => {
            let params = DiffReadParams { session_id, turn_id: None };
            let read = connection.call(async |rpc| DiffClient::read(rpc, params.clone()).await).await?;
            let mut text: String = read.files.iter().map(|file| file.text.as_str()).collect();
            let left = u64::from(read.count).saturating_sub(read.files.len() as u64);
            if left > 0 {
                text.push_str(&format!("({left} more files are not shown)\n"));
            }
            text
        }
    };
    Ok(escape::prose(&escape::shortened(&text, MAX_TEXT)).into_owned())
}

fn log(turn: &Turn, text: &mut String) {
    for item in &turn.items {
        let piece = match &item.body {
            ItemBody::UserMessage(message) => {
                let said = message.content.iter().map(|part| match part {
                    InputPart::Text { text } => text.as_str(),
                    InputPart::Image { .. } | InputPart::StoredImage { .. } => "(an image)",
                    InputPart::Skill { .. } => "(a skill)",
                    InputPart::Resource { .. } => "(a resource of an MCP server)",
                    InputPart::Unknown(_) => "(something that is not known here)",
                });
                format!("## {}\n\n{}", message.actor.name, said.collect::<Vec<_>>().join("\n"))
            }
            ItemBody::AgentMessage(message) => message.text.clone(),
            ItemBody::Command(command) => {
                let outcome = command.outcome.as_ref();
                let output = outcome.map(|outcome| escape::shortened(&outcome.output.head, MAX_OUTPUT));
                let exit = outcome.and_then(|outcome| words::exit(&outcome.exit)).unwrap_or_default();
                format!(
                    "```console\n$ {}\n{}\n```\n{exit}",
                    command.command,
                    output.unwrap_or_default().trim_end()
                )
            }
            ItemBody::FileChange(change) => {
                let cwd = std::path::Path::new("");
                change.changes.iter().map(|file| words::changed(file, cwd)).collect::<Vec<_>>().join("\n")
            }
            ItemBody::ToolCall(other) => format!("(called `{}`)", other.call.name),
            ItemBody::Notice(notice) => format!("({})", notice.text),
            ItemBody::WebSearch(search) => format!("({})", words::web_search(search)),
            ItemBody::Compaction(compaction) => {
                format!("({})", words::compaction(compaction, &item.status))
            }
            ItemBody::Agent(report) => format!("({})", words::agent(report)),
            ItemBody::Review(review) => reviews::text(review),
            ItemBody::Reasoning(_) | ItemBody::Plan(_) | ItemBody::Unknown(_) => continue,
        };
        text.push_str(piece.trim_end());
        text.push_str("\n\n");
    }
    if let Some(ending) = turn.outcome.as_ref().and_then(words::ending) {
        text.push_str(&format!("({ending})\n\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_what_it_was_made_of() {
        let id = SessionId::generate();
        for part in [Part::Log, Part::Diff] {
            assert_eq!(named(&address(id, part)), Some((id, part)));
        }
        for wrong in ["skein://session/x/log", "file:///etc/passwd", "skein://session/", ""] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
    }
}
