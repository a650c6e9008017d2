//! `grep`: searches in files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use workspace::search::{Case, FileMatches, Grep as Search, GrepOutcome, Want, grep};
use workspace::walk::{Filter, Ignored};

use crate::function::{Function, Stopped, Told, look};
use crate::plain;
use crate::tool::RunContext;

/// How long a search may take.
const WITHIN: Duration = Duration::from_secs(30);
/// Lines, files or counts if the model does not say.
const DEFAULT_LIMIT: u32 = 200;
/// The same at most.
const MAX_LIMIT: u32 = 2_000;
/// Bytes that are told at most: about 10,000 tokens.
const MAX_BYTES: usize = 40 * 1024;

/// Searches in files.
pub(crate) struct Grep;

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    pattern: String,
    /// File or folder; default: the session's folder
    #[serde(default)]
    path: Option<PathBuf>,
    /// Such as `*.rs` or `!vendor`
    #[serde(default)]
    glob: Option<String>,
    /// ripgrep's file type, such as `py`
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    output: Output,
    #[serde(default)]
    ignore_case: bool,
    /// The pattern is plain text
    #[serde(default)]
    literal: bool,
    /// Matches may go over lines
    #[serde(default)]
    multiline: bool,
    /// Lines around each match
    #[serde(default)]
    context: u32,
    /// Lines or files to skip
    #[serde(default)]
    offset: u32,
    /// Default 200
    #[serde(default)]
    limit: Option<u32>,
    /// Also what git ignores
    #[serde(default)]
    all: bool,
}

// What is shown.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Output {
    #[default]
    Lines,
    Files,
    Counts,
}

impl Function for Grep {
    type Arguments = Arguments;
    const NAME: &'static str = "grep";
    const DESCRIPTION: &'static str = include_str!("grep.md");
    const IS_READ_ONLY: bool = true;

    fn check(arguments: &Arguments) -> Result<(), String> {
        if arguments.pattern.is_empty() { Err("`pattern` is empty".to_owned()) } else { Ok(()) }
    }

    async fn call(&self, arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        let named = arguments.path.unwrap_or_default();
        let path = context.cwd.join(&named);
        let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize;
        let search = Search {
            pattern: arguments.pattern,
            is_literal: arguments.literal,
            case: if arguments.ignore_case { Case::Insensitive } else { Case::Sensitive },
            is_multiline: arguments.multiline,
            context: arguments.context.min(20) as usize,
            want: match arguments.output {
                Output::Lines => Want::Lines,
                Output::Files => Want::Files,
                Output::Counts => Want::Counts,
            },
            filter: Filter { globs: arguments.glob.into_iter().collect(), file_type: arguments.r#type },
            ignored: if arguments.all { Ignored::Included } else { Ignored::LeftOut },
        };
        let want = search.want;
        let found =
            look(&context, WITHIN, move |sight, patience| grep(sight, &path, &search, patience)).await?;
        let outcome = found.map_err(|error| Stopped::Failed(error.to_string()))?;
        let page = Page { offset: arguments.offset as usize, limit, named: &named, want };
        Ok(page.told(&outcome).into())
    }
}

/// Which part of what was found is told, and how.
struct Page<'a> {
    offset: usize,
    limit: usize,
    /// The path of the search, as the model wrote it.
    named: &'a Path,
    want: Want,
}

impl Page<'_> {
    fn told(&self, outcome: &GrepOutcome) -> String {
        let mut out = String::new();
        let (mut at, mut shown) = (0, 0);
        let mut is_full = false;
        for file in &outcome.files {
            let path = self.path(file);
            match self.want {
                Want::Files | Want::Counts => {
                    if self.takes(at, shown, &out) {
                        out.push_str(&match self.want {
                            Want::Counts => format!("{path}: {}\n", file.count),
                            Want::Lines | Want::Files => format!("{path}\n"),
                        });
                        shown += 1;
                    } else {
                        is_full |= at >= self.offset;
                    }
                    at += 1;
                }
                Want::Lines => {
                    let mut last = None;
                    for line in &file.lines {
                        if self.takes(at, shown, &out) {
                            if last.is_none() {
                                out.push_str(&format!("{path}\n"));
                            } else if last.is_some_and(|last| last + 1 < line.number)
                                && file.lines.iter().any(|line| !line.is_match)
                            {
                                out.push_str("--\n");
                            }
                            let sign = if line.is_match { ':' } else { '-' };
                            out.push_str(&format!("{}{sign}{}\n", line.number, plain::visible(&line.text)));
                            shown += 1;
                            last = Some(line.number);
                        } else {
                            is_full |= at >= self.offset;
                        }
                        at += 1;
                    }
                }
            }
        }
        let mut notes = Vec::new();
        if shown == 0 {
            notes.push(if at == 0 { "Nothing was found".to_owned() } else { format!("There are {at}") });
        }
        if is_full {
            notes.push(format!("{shown} of {at} are shown; go on with offset {}", self.offset + shown));
        }
        if outcome.is_cut {
            notes.push(
                "The search ended before it was everywhere: it took too long or found too much; narrow it"
                    .to_owned(),
            );
        }
        if outcome.too_long > 0 {
            notes.push(format!("{} files with lines of over 8 MB were left out", outcome.too_long));
        }
        if outcome.unreadable > 0 {
            notes.push(format!("{} files or folders could not be read", outcome.unreadable));
        }
        out.extend(notes.iter().map(|note| format!("[{note}]\n")));
        out
    }

    fn takes(&self, at: usize, shown: usize, out: &str) -> bool {
        at >= self.offset && shown < self.limit && out.len() < MAX_BYTES
    }

    fn path(&self, file: &FileMatches) -> String {
        let whole = if file.path.as_os_str().is_empty() {
            self.named.to_owned()
        } else {
            self.named.join(&file.path)
        };
        plain::visible(&whole.to_string_lossy()).into_owned()
    }
}
