//! What completes the word that is being written: a command after `/`, a file or what an MCP server has after `@`, a
//! skill after `$`. Knows nothing of keys.

use protocol::mcp::McpPrompt;
use protocol::skill::Skill;

use crate::command::{self, Entry};
use crate::composer::Composer;
use crate::custom::CustomCommand;
use crate::list::{List, Row};
use crate::prompts;

/// What can complete a word.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    /// Where the word begins.
    pub(crate) from: usize,
    pub(crate) list: List,
    pub(crate) kind: Kind,
}

/// What it is completed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// These commands.
    Commands(Vec<Entry>),
    /// Skills of these names.
    Skills(Vec<String>),
    /// Files, as the answer to a question, and what MCP servers have to read: what each row is in a text; absent for one
    /// that only tells something.
    Files { number: u64, is_complete: bool, paths: Vec<String>, texts: Vec<Option<String>> },
}

impl Completion {
    /// Nothing so far: what `@` offers is looked for.
    pub(crate) fn of_mentions(from: usize, number: u64) -> Self {
        let kind = Kind::Files { number, is_complete: false, paths: Vec::new(), texts: Vec::new() };
        Self { from, list: List::default(), kind }
    }
}

/// What a word asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    Nothing,
    Commands(&'a str),
    Skills(&'a str),
    Files(&'a str),
}

/// What the word at the cursor asks for, and where it begins.
pub(crate) fn wanted(composer: &Composer) -> (usize, Wanted<'_>) {
    let (from, word) = composer.word();
    let wanted = match (word.strip_prefix('/'), word.strip_prefix('@')) {
        (Some(name), _) if composer.is_first(from) && composer.is_at_end() && !name.contains('/') => {
            Wanted::Commands(name)
        }
        (_, Some(path)) => Wanted::Files(path),
        (_, None) => match word.strip_prefix('$') {
            // What is run by hand has variables.
            Some(name) if !composer.text().starts_with('!') && name.chars().all(is_of_name) => {
                Wanted::Skills(name)
            }
            Some(_) | None => Wanted::Nothing,
        },
    };
    (from, wanted)
}

/// The commands that begin so, then those that hold the letters; absent if there is none.
pub(crate) fn commands(
    from: usize,
    name: &str,
    custom: &[CustomCommand],
    prompts: &[McpPrompt],
) -> Option<Completion> {
    let mut entries = command::all(custom);
    entries.extend(prompts.iter().map(prompts::entry));
    entries.retain(|entry| entry.name.contains(name));
    entries.sort_by_key(|entry| !entry.name.starts_with(name));
    let row =
        |entry: &Entry| Row::new(format!("/{} {}", entry.name, entry.argument).trim_end(), &*entry.meaning);
    let list = List::new(entries.iter().map(row).collect());
    (!entries.is_empty()).then_some(Completion { from, list, kind: Kind::Commands(entries) })
}

/// The skills that begin so, then those that hold the letters; absent if there is none.
pub(crate) fn skills(from: usize, name: &str, known: &[Skill]) -> Option<Completion> {
    let mut fitting: Vec<&Skill> =
        known.iter().filter(|skill| skill.state.is_usable() && skill.name.contains(name)).collect();
    fitting.sort_by_key(|skill| !skill.name.starts_with(name));
    let row = |skill: &&Skill| Row::new(format!("${}", skill.name), &*skill.description);
    let list = List::new(fitting.iter().map(row).collect());
    let names: Vec<String> = fitting.into_iter().map(|skill| skill.name.clone()).collect();
    (!names.is_empty()).then_some(Completion { from, list, kind: Kind::Skills(names) })
}

/// The text of a skill in an input.
pub(crate) fn skill_mention(name: &str) -> String {
    format!("${name} ")
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '-' | '_' | ':')
}

/// The text of a path in an input: one with blanks is quoted.
pub(crate) fn mention(path: &str) -> String {
    if path.contains(char::is_whitespace) { format!("\"{path}\" ") } else { format!("{path} ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Composer {
        let mut composer = Composer::default();
        composer.insert(text);
        composer
    }

    #[test]
    fn words_ask_for_commands_or_files() {
        assert_eq!(wanted(&of("/mo")), (0, Wanted::Commands("mo")));
        assert_eq!(wanted(&of("/")), (0, Wanted::Commands("")));
        assert_eq!(wanted(&of("see @src/m")), (4, Wanted::Files("src/m")));
        assert_eq!(wanted(&of("use $rev")), (4, Wanted::Skills("rev")));
        for text in [
            "",
            "mo",
            "see /mo",
            "/usr/bin",
            "a@b",
            "@a b",
            "/model x",
            "$a b",
            "a$b",
            "! echo $HOME",
            "$(x)",
        ] {
            assert_eq!(wanted(&of(text)).1, Wanted::Nothing, "{text}");
        }
    }

    #[test]
    fn the_commands_that_begin_so_come_first() {
        let Some(Completion { kind: Kind::Commands(entries), .. }) = commands(0, "resu", &[], &[]) else {
            panic!("none")
        };
        assert_eq!(entries[0].name, "resume");
        assert!(commands(0, "xyz", &[], &[]).is_none());
    }

    #[test]
    fn a_path_with_blanks_stays_one() {
        assert_eq!(mention("a b.rs"), "\"a b.rs\" ");
        assert_eq!(mention("a.rs"), "a.rs ");
    }
}
