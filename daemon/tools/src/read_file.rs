//! `read_file`: shows lines of a text, from a file or from an output that was kept.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use protocol::ids::BlobId;
use schemars::JsonSchema;
use serde::Deserialize;
use workspace::reading::{Range, Shown, Text, show};

use crate::function::{Function, Stopped, Told, look};
use crate::plain;
use crate::tool::RunContext;

/// How a kept output is named.
const BLOB: &str = "blob:";
/// How long reading may take.
const WITHIN: Duration = Duration::from_secs(10);
/// Lines if the model does not say.
const DEFAULT_LINES: u32 = 1_000;
/// Bytes at most: about 10,000 tokens.
const MAX_BYTES: usize = 40 * 1024;

/// Reads files.
pub(crate) struct ReadFile;

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    path: PathBuf,
    /// First line, from 1
    #[serde(default)]
    offset: Option<u64>,
    /// Lines, default 1000
    #[serde(default)]
    limit: Option<u32>,
}

impl Function for ReadFile {
    type Arguments = Arguments;
    const NAME: &'static str = "read_file";
    const DESCRIPTION: &'static str = include_str!("read_file.md");
    const IS_READ_ONLY: bool = true;

    async fn call(&self, arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        let range = Range {
            first: arguments.offset.unwrap_or(1).max(1),
            lines: arguments.limit.unwrap_or(DEFAULT_LINES).max(1) as usize,
            bytes: MAX_BYTES,
        };
        let kept = arguments.path.to_str().and_then(|path| path.strip_prefix(BLOB));
        let shown = if let Some(name) = kept {
            let blob = context.spools.read(&BlobId(name.to_owned())).await;
            let bytes = blob.map_err(|error| Stopped::Failed(format!("It can't be read: {error}")))?;
            let bytes =
                bytes.ok_or_else(|| Stopped::Failed(format!("No output is kept as `{BLOB}{name}`")))?;
            look(&context, WITHIN, move |_, patience| show(&*bytes, range, patience)).await?
        } else {
            let path = context.cwd.join(&arguments.path);
            let belongings = context.belongings.clone();
            look(&context, WITHIN, move |sight, patience| {
                let opened = sight.open(&path).map_err(io::Error::other)?;
                belongings.seen().note(opened.path.clone(), opened.stamp);
                show(opened.file, range, patience)
            })
            .await?
        };
        match shown {
            Ok(Shown::Text(text)) => Ok(told(&text, range).into()),
            Ok(Shown::Binary(kind)) => Err(Stopped::Failed(binary(kind))),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let text = format!("Line {} was not reached; the file is very long", range.first);
                Err(Stopped::Failed(text))
            }
            Err(error) => Err(Stopped::Failed(hint(&error.to_string()))),
        }
    }
}

fn told(text: &Text, range: Range) -> String {
    let mut out = String::new();
    for (number, line) in &text.lines {
        out.push_str(&format!("{number}\t{}\n", plain::visible(line)));
    }
    let mut notes = Vec::new();
    let last = text.lines.last().map_or(range.first - 1, |(number, _)| *number);
    match text.total_lines {
        Some(0) => notes.push("The file is empty".to_owned()),
        Some(total) if text.lines.is_empty() => notes.push(format!("The file has {total} lines")),
        Some(total) if last < total => {
            notes.push(format!("Lines {} to {last} of {total}; go on with offset {}", range.first, last + 1));
        }
        Some(_) => {}
        None => notes.push(format!("Lines {} to {last}; go on with offset {}", range.first, last + 1)),
    }
    if let Some(encoding) = text.encoding {
        notes.push(format!("The file is {encoding}"));
    }
    if text.is_lossy {
        notes.push("Bytes that are no UTF-8 are shown as \u{fffd}".to_owned());
    }
    out.extend(notes.iter().map(|note| format!("[{note}]\n")));
    out
}

fn binary(kind: &str) -> String {
    let hint = if kind.ends_with("image") { "; look at it with `view_image`" } else { "" };
    format!("It is {kind}, not a text{hint}")
}

/// An error that says which tool would do.
fn hint(error: &str) -> String {
    if error.contains("is a folder") { format!("{error}; use `list_dir`") } else { error.to_owned() }
}
