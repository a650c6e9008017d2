//! What providers do in the web for a model: whether they may, and what they tell of it, in bounds. The forms are each
//! wire API's own.

use model::request::ModelRequest;
use protocol::item::OpaqueReasoning;
use protocol::web::{WebSearch, WebSource};
use serde_json::Value;

use crate::settings::{RequestOptions, Search};
use crate::wire_api::WireApi;

/// What the tool is called where it has a name among the others.
pub(crate) const NAME: &str = "web_search";
/// Queries and sources of one search that are told.
const MAX_QUERIES: usize = 20;
const MAX_SOURCES: usize = 50;
/// Sources that stand behind a text.
const MAX_CITED: usize = 20;
/// Bytes of each text.
const MAX_TEXT: usize = 2 * 1024;

/// Whether the provider may search for the answer to this request.
///
/// # Errors
/// Why it can't, though it is asked for.
pub(crate) fn wanted(
    api: &impl WireApi,
    request: &ModelRequest,
    options: &RequestOptions,
) -> Result<Search, &'static str> {
    if options.search == Search::Off {
        return Ok(Search::Off);
    }
    if request.tools.iter().any(|tool| tool.name == NAME) {
        return Err("another tool has its name");
    }
    api.check_search(&request.model, options.search).map(|()| options.search)
}

/// A search as it is told.
pub(crate) fn told(
    queries: impl IntoIterator<Item = String>,
    sources: impl IntoIterator<Item = WebSource>,
    opaque: Option<OpaqueReasoning>,
) -> WebSearch {
    WebSearch {
        queries: queries.into_iter().take(MAX_QUERIES).map(bounded).collect(),
        sources: sources.into_iter().take(MAX_SOURCES).collect(),
        opaque,
        ..WebSearch::default()
    }
}

/// A source with its address and title under these names; `None` without an address.
pub(crate) fn source(value: &Value, url: &str) -> Option<WebSource> {
    let text = |name: &str| value[name].as_str().filter(|text| !text.is_empty());
    let title = text("title").map(|title| bounded(title.to_owned()));
    Some(WebSource { url: bounded(text(url)?.to_owned()), title })
}

/// What stands behind a text: what it goes by, as links. What is linked in it already is not named again.
pub(crate) fn links(text: &str, sources: impl IntoIterator<Item = WebSource>) -> String {
    let mut cited: Vec<WebSource> = Vec::new();
    for source in sources {
        let is_web = source.url.starts_with("https://") || source.url.starts_with("http://");
        let is_plain =
            !source.url.contains(|c: char| c.is_whitespace() || c.is_control() || "()<>".contains(c));
        let is_new = !text.contains(&source.url) && !cited.iter().any(|known| known.url == source.url);
        if is_web && is_plain && is_new && cited.len() < MAX_CITED {
            cited.push(source);
        }
    }
    // An answer that is to be JSON stays JSON.
    if cited.is_empty() || text.trim_start().starts_with(['{', '[']) {
        return String::new();
    }
    let link = |WebSource { url, title }: &WebSource| {
        let title = title.as_deref().unwrap_or(url);
        let title: String = title.chars().filter(|c| !c.is_control() && !"[]<>`".contains(*c)).collect();
        format!("\n- [{title}]({url})")
    };
    format!("\n\nSources:{}", cited.iter().map(link).collect::<String>())
}

/// All texts of a list.
pub(crate) fn texts(value: &Value) -> impl Iterator<Item = String> {
    let all = value.as_array().map_or(&[][..], Vec::as_slice);
    all.iter().filter_map(Value::as_str).map(str::to_owned)
}

/// A text within its bound.
pub(crate) fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

#[cfg(test)]
mod tests;
