//! What `@` offers: files of the folder, and what MCP servers have to read. Knows nothing of how files are looked for.

use protocol::ids::Timestamp;
use protocol::mcp::{McpResource, McpResourcesParams, McpResourcesResult};

use crate::app::{App, Chore, PROMPTS_EVERY_MS};
use crate::completion::{self, Kind, Wanted};
use crate::link::Call;
use crate::list::{List, Row};

/// A row, and what it is in a text; absent for one that only tells something.
type Offered = (Row, Option<String>);

/// What becomes of servers that do not run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    Left,
    Begun,
}

impl App {
    /// Whether `@` offers something now.
    pub(crate) fn is_mentioning(&self) -> bool {
        self.completion.as_ref().is_some_and(|open| matches!(open.kind, Kind::Files { .. }))
    }

    /// Asks what MCP servers have to read.
    pub(crate) fn ask_resources(&mut self, absent: Absent) {
        let params =
            McpResourcesParams { cwd: self.cwd(), session_id: None, starts: absent == Absent::Begun };
        self.chores.push(Chore::Call(Call::Resources(params)));
    }

    /// What MCP servers have to read is known, as far as they run.
    pub(crate) fn resources_listed(&mut self, listed: McpResourcesResult, now: Timestamp) {
        self.resources_at =
            (!listed.starting.is_empty()).then_some(Timestamp(now.0.saturating_add(PROMPTS_EVERY_MS)));
        self.resources = listed;
        if !self.is_mentioning() {
            return;
        }
        // It comes while somebody looks at the list: what they have chosen stays.
        let chosen = self.completion.as_ref().and_then(|open| open.list.chosen_row().cloned());
        self.offer_mentions();
        if let (Some(open), Some(chosen)) = (&mut self.completion, chosen) {
            open.list.choose_row(&chosen);
        }
    }

    /// Shows what is known by now and fits the word at the cursor.
    pub(crate) fn offer_mentions(&mut self) {
        let (_, Wanted::Files(word)) = completion::wanted(&self.composer) else { return };
        let Some(open) = &mut self.completion else { return };
        let Kind::Files { paths, texts, .. } = &mut open.kind else { return };
        let (rows, said) = offered(word, paths, &self.resources).into_iter().unzip();
        (*texts, open.list) = (said, List::new(rows));
    }
}

/// What fits a word. Of what servers have, what holds the letters comes first once there are some: files only resemble
/// them.
fn offered(word: &str, paths: &[String], known: &McpResourcesResult) -> Vec<Offered> {
    let word = word.to_lowercase();
    let files = paths.iter().map(|path| (Row::new(path, ""), Some(completion::mention(path))));
    let resources = known.resources.iter().filter(|resource| fits(resource, &word)).map(|resource| {
        let McpResource { server, uri, name, description } = resource;
        let text = format!("@{server}:{uri}");
        let detail = match description {
            Some(said) => format!("{name}: {said}"),
            None => name.clone(),
        };
        (Row::new(text.clone(), detail), Some(format!("{text} ")))
    });
    let told = known
        .starting
        .iter()
        .map(|server| (server, "is being started"))
        .chain(known.failed.iter().map(|failure| (&failure.server, &*failure.message)))
        .filter(|(server, _)| format!("{server}:").to_lowercase().starts_with(&word) || word.is_empty())
        .map(|(server, said)| (Row::new(format!("({server})"), said), None));
    match word.is_empty() {
        true => files.chain(resources).chain(told).collect(),
        false => resources.chain(files).chain(told).collect(),
    }
}

fn fits(resource: &McpResource, word: &str) -> bool {
    let holds = |text: &str| text.to_lowercase().contains(word);
    holds(&format!("{}:{}", resource.server, resource.uri)) || holds(&resource.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> McpResourcesResult {
        serde_json::from_value(serde_json::json!({
            "resources": [
                {"server": "docs", "uri": "memo://one", "name": "First"},
                {"server": "docs", "uri": "memo://two", "name": "Second", "description": "A memo"},
            ],
            "starting": ["slow"],
            "failed": [{"server": "dead", "message": "It broke off"}],
        }))
        .unwrap()
    }

    fn rows(word: &str) -> Vec<(String, Option<String>)> {
        let paths = ["src/first.rs".to_owned(), "a b".to_owned()];
        offered(word, &paths, &known()).into_iter().map(|(row, text)| (row.label, text)).collect()
    }

    fn labels(word: &str) -> Vec<String> {
        rows(word).into_iter().map(|(label, _)| label).collect()
    }

    #[test]
    fn what_servers_have_stands_beside_files() {
        assert_eq!(
            labels(""),
            ["src/first.rs", "a b", "@docs:memo://one", "@docs:memo://two", "(slow)", "(dead)"]
        );
        assert_eq!(labels("firs"), ["@docs:memo://one", "src/first.rs", "a b"]);
        assert_eq!(labels("docs:memo://t")[0], "@docs:memo://two");
        assert_eq!(rows("memo://t")[0].1.as_deref(), Some("@docs:memo://two "));
        assert_eq!(rows("memo://t")[2].1.as_deref(), Some("\"a b\" "));
    }

    #[test]
    fn a_server_that_can_not_be_asked_says_so_and_is_not_chosen() {
        let row = rows("dea").pop().unwrap();
        assert_eq!(row, ("(dead)".to_owned(), None));
        assert!(!labels("x").contains(&"(dead)".to_owned()));
    }
}
