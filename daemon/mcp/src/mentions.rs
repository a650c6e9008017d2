//! What servers have to read, as people ask for it: the list that they choose from, and what an input mentions as
//! `@server:address`. What is read is text of a stranger: made harmless and bounded here.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use protocol::mcp::{McpResource, McpResourcesResult, McpServerFailure, ToolApproval};
use rmcp::model::{PaginatedRequestParams, Resource, ResourceContents};
use tokio::time::timeout;

use crate::call::{Waiting, read};
use crate::error::McpError;
use crate::recipe::Recipe;
use crate::server::{Live, Readable, Server};
use crate::servers::Servers;
use crate::text;

/// Resources of one server that a person is shown.
const MAX_LISTED: usize = 200;
/// Mentions of one input; more stay text.
const MAX_MENTIONS: usize = 8;
/// Words of one input that are taken for mentions, of servers that are known or not.
const MAX_WORDS: usize = 256;
/// Bytes of an address.
const MAX_ADDRESS: usize = 1024;
/// Bytes of an address with what ends its sentence. Longer ones are not looked through.
const MAX_WORD: usize = MAX_ADDRESS + 64;
/// Bytes of a name, and of what is said of a resource.
const MAX_NAME: usize = 200;
/// Bytes of what goes along of one resource.
const MAX_TEXT: usize = 48 * 1024;
/// How long one server may take to list what it has: a person waits.
const LISTING: Duration = Duration::from_secs(3);
/// How long all that an input mentions may take, the start of servers included.
const READING: Duration = Duration::from_secs(20);

/// What becomes of servers that do not run when it is asked what they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Nothing.
    Left,
    /// They are started, and not waited for.
    Begun,
}

/// A resource, as a text mentions it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mention {
    /// The server's name.
    pub server: String,
    /// The address.
    pub uri: String,
}

/// The words of a text that could mention resources, each once: `@server:address`, at the beginning of a word. What
/// ends a sentence is not of the address.
#[must_use]
pub fn mentions(text: &str) -> Vec<Mention> {
    let mut found: Vec<Mention> = Vec::new();
    for (at, _) in text.match_indices('@') {
        let before = text[..at].chars().next_back();
        if !before.is_none_or(|c| c.is_whitespace() || "([{<\"'`".contains(c)) {
            continue;
        }
        if let Some(mention) = mention(&text[at + 1..])
            && !found.contains(&mention)
        {
            found.push(mention);
        }
        if found.len() == MAX_WORDS {
            break;
        }
    }
    found
}

/// What stands behind an `@`, if it is a mention. What was pasted may be one word of a megabyte with as many `@`, so no
/// more of it is looked at than could be one.
fn mention(behind: &str) -> Option<Mention> {
    let (server, word) = behind.split_at(behind.find(|c: char| !config::McpServer::is_of_name(c))?);
    let word = word.strip_prefix(':')?;
    let looked_at = &word[..word.floor_char_boundary(MAX_WORD)];
    let uri = match looked_at.find(|c: char| c.is_whitespace() || "<>\"`".contains(c)) {
        Some(end) => &looked_at[..end],
        None if looked_at.len() == word.len() => word,
        None => return None,
    };
    let uri = uri.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}', '\'']);
    let is_meant = config::McpServer::is_name(server) && has_scheme(uri) && is_address(uri);
    is_meant.then(|| Mention { server: server.to_owned(), uri: uri.to_owned() })
}

/// RFC 3986, 3.1.
fn has_scheme(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(is_of_scheme)
        && !rest.is_empty()
}

/// Whether an address is shown as it is sent, and can stand in a text.
fn is_address(uri: &str) -> bool {
    !uri.is_empty()
        && uri.len() <= MAX_ADDRESS
        && text::plain(uri) == uri
        && !uri.contains(|c: char| c.is_whitespace() || "<>\"`".contains(c))
}

impl Servers {
    /// What these servers have to read, as far as they run.
    pub async fn resources(&self, recipes: &[Recipe], absent: Absent) -> McpResourcesResult {
        let mut result = McpResourcesResult::default();
        let servers = self.all(recipes);
        let mut listing = Vec::new();
        for server in servers.iter().filter(|server| is_readable(server)) {
            let name = || server.recipe.name.clone();
            let failed = |error: &McpError| McpServerFailure { server: name(), message: error.to_string() };
            match server.readable() {
                Readable::Nothing => {}
                Readable::Now(live) => listing.push(async move { (server, list(&live).await) }),
                Readable::Starting => result.starting.push(name()),
                Readable::Idle if absent == Absent::Begun => {
                    server.begin();
                    result.starting.push(name());
                }
                Readable::Idle => {}
                Readable::Failed(error) => {
                    // It may have come back.
                    if absent == Absent::Begun {
                        server.begin();
                    }
                    result.failed.push(failed(&error));
                }
            }
        }
        for (server, listed) in join_all(listing).await {
            let name = &server.recipe.name;
            match listed {
                Ok(resources) => result.resources.extend(resources.iter().filter_map(|one| shown(name, one))),
                Err(error) => {
                    result.failed.push(McpServerFailure { server: name.clone(), message: error.to_string() });
                }
            }
        }
        result
    }

    /// What is mentioned of these servers, each with its text; what is of none of them is left out. Dropping the future
    /// forgets it.
    ///
    /// # Errors
    /// Why one of them can't be read.
    pub async fn mentioned(
        &self,
        recipes: &[Recipe],
        mentions: &[Mention],
    ) -> Result<Vec<(Mention, String)>, McpError> {
        let named = |mention: &Mention| recipes.iter().find(|recipe| recipe.name == mention.server);
        let known: Vec<_> = mentions
            .iter()
            .filter_map(|mention| {
                let server = self.all(std::slice::from_ref(named(mention)?)).pop()?;
                is_readable(&server).then_some((mention, server))
            })
            .take(MAX_MENTIONS)
            .collect();
        let reading = known.iter().map(|(mention, server)| async move {
            let within = Duration::from_millis(server.recipe.server.tool_timeout_ms).min(READING);
            let reading = async {
                let live = server.live().await?;
                read(&live, mention.uri.clone(), Waiting::of_nobody(within)).await
            };
            let late = || McpError::CallTimeout { server: mention.server.clone(), within: READING };
            let read = timeout(READING, reading).await.map_err(|_| late())??;
            server.touch();
            Ok(((*mention).clone(), said(&read.contents)))
        });
        try_join_all(reading).await
    }
}

/// Nobody reads what the settings deny.
fn is_readable(server: &Server) -> bool {
    server.recipe.server.approval != ToolApproval::Deny
}

async fn list(live: &Live) -> Result<Vec<Resource>, McpError> {
    let listing = async {
        let (mut resources, mut cursor) = (Vec::new(), None);
        loop {
            let params = PaginatedRequestParams::default().with_cursor(cursor);
            let page = live.peer.list_resources(Some(params)).await;
            let page = page.map_err(|error| crate::call::failed(&live.handler, LISTING, error))?;
            let is_more = !page.resources.is_empty();
            resources.extend(page.resources);
            cursor = page.next_cursor;
            if cursor.is_none() || !is_more || resources.len() >= MAX_LISTED {
                resources.truncate(MAX_LISTED);
                return Ok(resources);
            }
        }
    };
    let late = || McpError::CallTimeout { server: live.handler.server.clone(), within: LISTING };
    timeout(LISTING, listing).await.map_err(|_| late())?
}

/// As a person is told of it; absent if it can't be mentioned.
fn shown(server: &str, resource: &Resource) -> Option<McpResource> {
    let described = resource.description.as_deref().or(resource.title.as_deref());
    (has_scheme(&resource.uri) && is_address(&resource.uri)).then(|| McpResource {
        server: server.to_owned(),
        uri: resource.uri.clone(),
        name: text::line(&resource.name, MAX_NAME),
        description: described.map(|said| text::line(said, MAX_NAME)).filter(|said| !said.is_empty()),
    })
}

/// All parts as one text; of what is no text what it is.
fn said(contents: &[ResourceContents]) -> String {
    let parts: Vec<_> = contents
        .iter()
        .map(|part| match part {
            ResourceContents::TextResourceContents { text: said, .. } => text::plain(said),
            ResourceContents::BlobResourceContents { mime_type, blob, .. } => {
                let kind = text::line(mime_type.as_deref().unwrap_or("application/octet-stream"), 100);
                format!("[{kind}, about {} bytes, no text]", blob.len() / 4 * 3)
            }
            _ => "[a part of a kind that is not known here]".to_owned(),
        })
        .collect();
    if parts.iter().all(|part| part.trim().is_empty()) {
        return "[it is empty]".to_owned();
    }
    text::bounded(&parts.join("\n\n"), MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(text: &str) -> Vec<String> {
        mentions(text).into_iter().map(|mention| format!("{} {}", mention.server, mention.uri)).collect()
    }

    #[test]
    fn an_address_ends_where_its_word_or_the_sentence_ends() {
        for (text, wanted) in [
            ("@docs:file:///a.md", &["docs file:///a.md"][..]),
            (
                "See @docs:file:///a.md, (@my-db:pg://x/y) and @docs:file:///a.md.",
                &["docs file:///a.md", "my-db pg://x/y"],
            ),
            ("`@docs:memo:1`", &["docs memo:1"]),
            ("me@docs:file:///a @docs @docs: @docs:readme @docs:file: @a/b:c:d @do cs:a:b @docs:1x:y", &[]),
        ] {
            assert_eq!(found(text), wanted, "{text}");
        }
        assert!(found(&format!("@docs:file:///{}", "x".repeat(MAX_ADDRESS))).is_empty());
        assert!(found(&format!("@docs:file:///{}", "é".repeat(MAX_WORD))).is_empty());
    }

    #[test]
    fn a_long_text_is_looked_through_once() {
        // Each of them from its beginning to the end of the word would take minutes.
        assert!(found(&"(@".repeat(500_000)).is_empty());
        // Only what is not too long is an address, so those at the end.
        assert!(found(&"(@a:b:".repeat(10_000)).len() < MAX_WORD / 6);
        let many: String = (0..10_000).map(|number| format!("@a:b:{number} ")).collect();
        assert_eq!(found(&many).len(), MAX_WORDS);
    }

    fn resource(value: Value) -> Resource {
        serde_json::from_value(value).expect("a resource")
    }

    #[test]
    fn what_is_listed_can_be_mentioned_and_is_harmless() {
        let good = resource(json!({"uri": "file:///a%20b.md", "name": "a\u{1b}[2J b", "title": "T\nU"}));
        let shown = super::shown("docs", &good).expect("shown");
        assert_eq!((shown.name.as_str(), shown.description.as_deref()), ("a[2J b", Some("T U")));
        assert_eq!(found(&format!("see @{}:{} now", shown.server, shown.uri)), ["docs file:///a%20b.md"]);
        for uri in ["file:///a b", "a\u{202e}:b", "no-scheme", ""] {
            assert_eq!(super::shown("docs", &resource(json!({"uri": uri, "name": "x"}))), None, "{uri}");
        }
    }

    #[test]
    fn what_is_read_is_bounded_and_of_what_is_no_text_it_is_told_what_it_is() {
        let contents =
            |value: Value| serde_json::from_value::<Vec<ResourceContents>>(value).expect("contents");
        let both = contents(json!([
            {"uri": "a:b", "text": "one\u{1b}[2J"},
            {"uri": "a:c", "mimeType": "image/png", "blob": "AAAAAAAA"},
        ]));
        assert_eq!(said(&both), "one[2J\n\n[image/png, about 6 bytes, no text]");
        let long = contents(json!([{"uri": "a:b", "text": "x".repeat(MAX_TEXT * 2)}]));
        assert!(said(&long).len() < MAX_TEXT + 100);
        assert_eq!(said(&[]), "[it is empty]");
    }
}
