//! `list_dir`: shows what is in a folder.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use workspace::listing::{List, Listed, ListedKind, Listing, list};
use workspace::walk::Ignored;

use crate::function::{Function, Stopped, Told, look};
use crate::plain;
use crate::tool::RunContext;

/// How long listing may take.
const WITHIN: Duration = Duration::from_secs(5);
/// Levels if the model does not say.
const DEFAULT_DEPTH: u32 = 2;
/// Levels at most.
const MAX_DEPTH: u32 = 16;
/// Entries if the model does not say.
const DEFAULT_LIMIT: u32 = 200;
/// Entries at most.
const MAX_LIMIT: u32 = 1_000;

/// Lists folders.
pub(crate) struct ListDir;

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// Default: the session's folder
    #[serde(default)]
    path: Option<PathBuf>,
    /// Default 2
    #[serde(default)]
    depth: Option<u32>,
    /// Entries to skip
    #[serde(default)]
    offset: Option<u32>,
    /// Entries, default 200
    #[serde(default)]
    limit: Option<u32>,
    /// Also what git ignores
    #[serde(default)]
    all: bool,
}

impl Function for ListDir {
    type Arguments = Arguments;
    const NAME: &'static str = "list_dir";
    const DESCRIPTION: &'static str = include_str!("list_dir.md");
    const IS_READ_ONLY: bool = true;

    async fn call(&self, arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        let path = context.cwd.join(arguments.path.as_deref().unwrap_or("".as_ref()));
        let wanted = List {
            depth: arguments.depth.unwrap_or(DEFAULT_DEPTH).clamp(1, MAX_DEPTH) as usize,
            ignored: if arguments.all { Ignored::Included } else { Ignored::LeftOut },
        };
        let listed =
            look(&context, WITHIN, move |sight, patience| list(sight, &path, wanted, patience)).await?;
        let listing = listed.map_err(|error| Stopped::Failed(error.to_string()))?;
        let offset = arguments.offset.unwrap_or(0) as usize;
        let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize;
        Ok(told(&listing, offset, limit).into())
    }
}

fn told(listing: &Listing, offset: usize, limit: usize) -> String {
    let shown: Vec<&Listed> = listing.entries.iter().skip(offset).take(limit).collect();
    let mut out = String::new();
    // A page that begins deep in a tree says first where it is.
    let mut above = shown.first().map_or(0, |first| first.level);
    let mut leading = Vec::new();
    for entry in listing.entries.iter().take(offset).rev() {
        if entry.level < above {
            above = entry.level;
            leading.push(entry);
        }
    }
    for entry in leading.into_iter().rev().chain(shown.iter().copied()) {
        let name = entry.name.to_string_lossy();
        let name = plain::visible(&name);
        let indent = "  ".repeat(entry.level);
        out.push_str(&match &entry.kind {
            ListedKind::File => format!("{indent}{name}\n"),
            ListedKind::Folder => format!("{indent}{name}/\n"),
            ListedKind::Link(to) => {
                format!("{indent}{name} -> {}\n", plain::visible(&to.to_string_lossy()))
            }
            ListedKind::Special => format!("{indent}{name} (a pipe, a socket or a device)\n"),
        });
    }
    let mut notes = Vec::new();
    let end = offset + shown.len();
    if listing.entries.is_empty() {
        notes.push("Nothing is here".to_owned());
    } else if end < listing.entries.len() {
        let total = listing.entries.len();
        notes.push(format!("Entries {} to {end} of {total}; go on with offset {end}", offset + 1));
    } else if shown.is_empty() {
        notes.push(format!("There are {} entries", listing.entries.len()));
    }
    if listing.ignored > 0 {
        notes.push(format!("{} ignored entries are left out", listing.ignored));
    }
    if listing.is_cut {
        notes.push("There is more than is looked at; list a folder below".to_owned());
    }
    if listing.unreadable > 0 {
        notes.push(format!("{} folders could not be looked into", listing.unreadable));
    }
    out.extend(notes.iter().map(|note| format!("[{note}]\n")));
    out
}
