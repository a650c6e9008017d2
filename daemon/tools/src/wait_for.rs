//! `wait_for`: waits for a process, a file or a while, and costs nothing meanwhile.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::Instant;
use workspace::files::FileError;
use workspace::sight::{Sight, Stamp};

use crate::function::{Function, Stopped, Told, look};
use crate::plain;
use crate::processes::{Noticed, Watcher};
use crate::tool::RunContext;

/// Seconds if the model does not say.
const DEFAULT_SECONDS: u32 = 60;
/// Seconds at most.
const MAX_SECONDS: u32 = 3_600;
/// Bytes of a pattern, and of what it becomes.
const MAX_PATTERN: usize = 1_024;
const MAX_COMPILED: usize = 1024 * 1024;
/// How often a file is looked at: soon at first, then less and less.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LAST_LOOK: Duration = Duration::from_secs(1);
/// How long one look may take.
const LOOKS_WITHIN: Duration = Duration::from_secs(10);

/// Waits.
pub(crate) struct WaitFor;

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    #[serde(default)]
    process_id: Option<u32>,
    /// Regular expression for a line of the process
    #[serde(default)]
    pattern: Option<String>,
    #[serde(default)]
    path: Option<PathBuf>,
    /// Until the file changes or goes
    #[serde(default)]
    change: bool,
    /// Default 60, at most 3600
    #[serde(default)]
    seconds: Option<u32>,
}

impl Function for WaitFor {
    type Arguments = Arguments;
    const NAME: &'static str = "wait_for";
    const DESCRIPTION: &'static str = include_str!("wait_for.md");
    const IS_READ_ONLY: bool = true;

    fn check(arguments: &Arguments) -> Result<(), String> {
        let Arguments { process_id, pattern, path, change, seconds } = arguments;
        if process_id.is_some() && path.is_some() {
            return Err("wait for either `process_id` or `path`".to_owned());
        }
        if pattern.is_some() && process_id.is_none() {
            return Err("`pattern` is for what a process prints; set `process_id` too".to_owned());
        }
        if *change && path.is_none() {
            return Err("`change` is of a file; set `path` too".to_owned());
        }
        if process_id.is_none() && path.is_none() && seconds.is_none() {
            return Err("set `process_id`, `path` or `seconds`".to_owned());
        }
        if seconds.is_some_and(|seconds| seconds == 0 || seconds > MAX_SECONDS) {
            return Err(format!("`seconds` is 1 to {MAX_SECONDS}"));
        }
        compile(pattern.as_deref()).map(drop)
    }

    async fn call(&self, arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        let seconds = arguments.seconds.unwrap_or(DEFAULT_SECONDS);
        let until = Instant::now() + Duration::from_secs(u64::from(seconds));
        let waiting = async {
            match (arguments.process_id, &arguments.path) {
                (Some(id), _) => {
                    let pattern = compile(arguments.pattern.as_deref()).map_err(Stopped::Failed)?;
                    for_process(id, pattern, until, &context).await
                }
                (None, Some(path)) if arguments.change => for_change(path, until, &context).await,
                (None, Some(path)) => for_file(path, until, &context).await,
                (None, None) => {
                    tokio::time::sleep_until(until).await;
                    Ok(None)
                }
            }
        };
        let happened = tokio::select! {
            happened = waiting => happened?,
            () = context.cancel.cancelled() => return Err(Stopped::Interrupted),
        };
        let text = happened.unwrap_or_else(|| match (arguments.process_id, &arguments.path) {
            (Some(id), _) if arguments.pattern.is_some() => {
                format!("{seconds} s are over: process {id} goes on and printed no such line")
            }
            (Some(id), _) => format!("{seconds} s are over: process {id} goes on"),
            (None, Some(path)) if arguments.change => {
                format!("{seconds} s are over: {} has not changed", shown(path))
            }
            (None, Some(path)) => format!("{seconds} s are over: {} is not there", shown(path)),
            (None, None) => format!("{seconds} s are over"),
        });
        Ok(text.into())
    }
}

/// What came of it; nothing if the time was over before.
type Waited = Result<Option<String>, Stopped>;

async fn for_process(id: u32, pattern: Option<Regex>, until: Instant, context: &RunContext) -> Waited {
    let processes = context.belongings.processes();
    let Some(handle) = processes.visit(id) else {
        let ids = processes.ids();
        let there =
            if ids.is_empty() { "none goes on".to_owned() } else { format!("those that go on: {ids:?}") };
        return Err(Stopped::Failed(format!("There is no process {id} in this session; {there}")));
    };
    let (reply, noticed) = oneshot::channel();
    let gone = || Stopped::Failed(format!("Process {id} is gone, or too many wait for it"));
    handle.watchers.send(Watcher::new(pattern, reply)).await.map_err(|_| gone())?;
    let noticed = tokio::select! {
        noticed = noticed => noticed.map_err(|_| gone())?,
        () = tokio::time::sleep_until(until) => return Ok(None),
    };
    Ok(Some(match noticed {
        Noticed::Printed(line) => format!("Process {id} printed: {}", plain::visible(&line)),
        Noticed::Ended(how) => format!("Process {id} ended {how}; `write_stdin` shows what it printed"),
    }))
}

async fn for_file(path: &Path, until: Instant, context: &RunContext) -> Waited {
    let mut pause = FIRST_LOOK;
    while see(path, context).await?.is_none() {
        if !rest(&mut pause, until).await {
            return Ok(None);
        }
    }
    Ok(Some(format!("{} is there", shown(path))))
}

async fn for_change(path: &Path, until: Instant, context: &RunContext) -> Waited {
    let before = match see(path, context).await? {
        None => return for_file(path, until, context).await,
        Some(None) => {
            return Err(Stopped::Failed(format!("{} is no file; wait for a file in it", shown(path))));
        }
        Some(Some(stamp)) => stamp,
    };
    let mut pause = FIRST_LOOK;
    loop {
        if !rest(&mut pause, until).await {
            return Ok(None);
        }
        match see(path, context).await? {
            None => return Ok(Some(format!("{} is gone", shown(path)))),
            Some(Some(stamp)) if stamp.is_same(&before) => {}
            Some(_) => return Ok(Some(format!("{} has changed", shown(path)))),
        }
    }
}

/// Rests before the next look; says whether there is one.
async fn rest(pause: &mut Duration, until: Instant) -> bool {
    let next = Instant::now() + *pause;
    tokio::time::sleep_until(next.min(until)).await;
    *pause = (*pause * 2).min(LAST_LOOK);
    next < until
}

/// What is there, a file with its stamp; nothing if nothing is.
async fn see(path: &Path, context: &RunContext) -> Result<Option<Option<Stamp>>, Stopped> {
    let path = context.cwd.join(path);
    let seen = look(context, LOOKS_WITHIN, move |sight: &Sight, _| sight.open(&path)).await?;
    match seen {
        Ok(opened) => Ok(Some(Some(opened.stamp))),
        Err(FileError::NotAFile { .. }) => Ok(Some(None)),
        Err(FileError::Missing { .. }) => Ok(None),
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Stopped::Failed(error.to_string())),
    }
}

fn compile(pattern: Option<&str>) -> Result<Option<Regex>, String> {
    let Some(pattern) = pattern else { return Ok(None) };
    if pattern.len() > MAX_PATTERN {
        return Err(format!("`pattern` is longer than {MAX_PATTERN} bytes"));
    }
    let compiled = RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build();
    compiled.map(Some).map_err(|error| format!("`pattern` is no regular expression: {error}"))
}

fn shown(path: &Path) -> String {
    format!("`{}`", plain::visible(&path.to_string_lossy()))
}
