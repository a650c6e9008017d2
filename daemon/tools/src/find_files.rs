//! `find_files`: finds files by their names.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use workspace::search::{Find, find};
use workspace::walk::{Filter, Ignored};

use crate::function::{Function, Stopped, Told, look};
use crate::plain;
use crate::tool::RunContext;

/// How long a search may take.
const WITHIN: Duration = Duration::from_secs(20);
/// Files if the model does not say.
const DEFAULT_LIMIT: u32 = 50;
/// Files at most.
const MAX_LIMIT: u32 = 1_000;

/// Finds files.
pub(crate) struct FindFiles;

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    query: String,
    /// Folder; default: the session's
    #[serde(default)]
    path: Option<PathBuf>,
    /// Default 50
    #[serde(default)]
    limit: Option<u32>,
    /// Also what git ignores
    #[serde(default)]
    all: bool,
}

impl Function for FindFiles {
    type Arguments = Arguments;
    const NAME: &'static str = "find_files";
    const DESCRIPTION: &'static str = include_str!("find_files.md");
    const IS_READ_ONLY: bool = true;

    async fn call(&self, arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        let named = arguments.path.unwrap_or_default();
        let path = context.cwd.join(&named);
        let is_glob = arguments.query.contains(['*', '?', '[', '{']);
        let (globs, letters) =
            if is_glob { (vec![arguments.query], String::new()) } else { (Vec::new(), arguments.query) };
        let wanted = Find {
            letters,
            filter: Filter { globs, file_type: None },
            ignored: if arguments.all { Ignored::Included } else { Ignored::LeftOut },
            limit: arguments.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize,
        };
        let found =
            look(&context, WITHIN, move |sight, patience| find(sight, &path, &wanted, patience)).await?;
        let found = found.map_err(|error| Stopped::Failed(error.to_string()))?;
        let mut out = String::new();
        for path in &found.paths {
            out.push_str(&plain::visible(&named.join(path).to_string_lossy()));
            out.push('\n');
        }
        let shown = found.paths.len() as u64;
        if shown == 0 {
            out.push_str("[Nothing was found]\n");
        } else if shown < found.total {
            out.push_str(&format!("[{shown} of {} are shown]\n", found.total));
        }
        if found.is_cut {
            out.push_str("[The search ended before it was everywhere; search in a folder below]\n");
        }
        if found.unreadable > 0 {
            out.push_str(&format!("[{} folders could not be looked into]\n", found.unreadable));
        }
        Ok(out.into())
    }
}
