//! Every message of every released wire version still parses, as what it was, and nothing of it gets lost. How a
//! version is frozen stands in the README beside this.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::config::{ConfigCheckParams, ConfigCheckResult};
use protocol::daemon::{DaemonShutdownParams, DaemonStatus, DaemonStatusParams};
use protocol::delta::SessionFeed;
use protocol::error::ProtocolError;
use protocol::event::EventRecord;
use protocol::initialize::{InitializeParams, InitializeResult};
use protocol::item::Item;
use protocol::question::{
    QuestionAnswerParams, QuestionAnswerResult, QuestionListParams, QuestionListResult,
};
use protocol::queue::{QueueCancelParams, QueueListParams, QueueListResult, QueueUpdateParams};
use protocol::session::{
    Done, SessionAttachParams, SessionCreateParams, SessionCreateResult, SessionListParams,
    SessionListResult, SessionReadParams, SessionRef, SessionSnapshot, SessionUpdateParams,
    SessionUpdateResult,
};
use protocol::turn::{
    TurnEnqueueParams, TurnEnqueueResult, TurnInterruptParams, TurnInterruptResult, TurnStartParams,
    TurnStartResult, TurnSteerParams, TurnSteerResult,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a message and writes it again.
type Again = fn(Value) -> Result<Value, String>;

/// How the message in a file of this name is read.
fn reader(name: &str) -> Option<Again> {
    Some(match name {
        "initialize.params" => again::<InitializeParams>,
        "initialize.result" => again::<InitializeResult>,
        "session.create.params" => again::<SessionCreateParams>,
        "session.create.result" => again::<SessionCreateResult>,
        "session.list.params" => again::<SessionListParams>,
        "session.list.result" => again::<SessionListResult>,
        "session.read.params" => again::<SessionReadParams>,
        "session.read.result" => again::<SessionSnapshot>,
        "session.attach.params" => again::<SessionAttachParams>,
        "session.attach.result" => again::<u64>,
        "session.update.params" => again::<SessionUpdateParams>,
        "session.update.result" => again::<SessionUpdateResult>,
        "session.archive.params"
        | "session.delete.params"
        | "session.takeOver.params"
        | "session.release.params" => again::<SessionRef>,
        "session.archive.result"
        | "session.delete.result"
        | "session.takeOver.result"
        | "session.release.result"
        | "queue.update.result"
        | "queue.cancel.result"
        | "daemon.shutdown.result" => again::<Done>,
        "turn.start.params" => again::<TurnStartParams>,
        "turn.start.result" => again::<TurnStartResult>,
        "turn.steer.params" => again::<TurnSteerParams>,
        "turn.steer.result" => again::<TurnSteerResult>,
        "turn.enqueue.params" => again::<TurnEnqueueParams>,
        "turn.enqueue.result" => again::<TurnEnqueueResult>,
        "turn.interrupt.params" => again::<TurnInterruptParams>,
        "turn.interrupt.result" => again::<TurnInterruptResult>,
        "queue.list.params" => again::<QueueListParams>,
        "queue.list.result" => again::<QueueListResult>,
        "queue.update.params" => again::<QueueUpdateParams>,
        "queue.cancel.params" => again::<QueueCancelParams>,
        "question.list.params" => again::<QuestionListParams>,
        "question.list.result" => again::<QuestionListResult>,
        "question.answer.params" => again::<QuestionAnswerParams>,
        "question.answer.result" => again::<QuestionAnswerResult>,
        "config.check.params" => again::<ConfigCheckParams>,
        "config.check.result" => again::<ConfigCheckResult>,
        "daemon.status.params" => again::<DaemonStatusParams>,
        "daemon.status.result" => again::<DaemonStatus>,
        "daemon.shutdown.params" => again::<DaemonShutdownParams>,
        _ if name.starts_with("session.feed.") => again::<SessionFeed>,
        _ if name.starts_with("event.") => again::<EventRecord>,
        _ if name.starts_with("item.") => again::<Item>,
        _ if name.starts_with("error.") => again::<ProtocolError>,
        _ => return None,
    })
}

fn again<T: DeserializeOwned + Serialize + Debug>(value: Value) -> Result<Value, String> {
    let message: T = serde_json::from_value(value).map_err(|error| error.to_string())?;
    // What was known when it was released is not unknown now.
    let shown = format!("{message:?}");
    if shown.contains("Unknown(") {
        return Err(format!("a part of it is not known any more: {shown}"));
    }
    serde_json::to_value(message).map_err(|error| error.to_string())
}

/// Where something of a message is missing or different in another one, which may have more.
fn lost(of: &Value, within: &Value, at: &str) -> Vec<String> {
    match (of, within) {
        (Value::Object(of), Value::Object(within)) => of
            .iter()
            .flat_map(|(key, value)| match within.get(key) {
                Some(found) => lost(value, found, &format!("{at}.{key}")),
                None => vec![format!("{at}.{key} is missing")],
            })
            .collect(),
        (Value::Array(of), Value::Array(within)) if of.len() == within.len() => {
            let pairs = of.iter().zip(within).enumerate();
            pairs.flat_map(|(index, (of, found))| lost(of, found, &format!("{at}[{index}]"))).collect()
        }
        _ if of == within => Vec::new(),
        _ => vec![format!("{at} is {within} and was {of}")],
    }
}

/// What is wrong with one file; empty if nothing is.
fn complaints(name: &str, text: &str) -> Vec<String> {
    let Some(again) = reader(name) else { return vec![format!("{name}: its type is not known here")] };
    let Ok(value) = serde_json::from_str::<Value>(text) else { return vec![format!("{name}: no JSON")] };
    match again(value.clone()) {
        Ok(written) => lost(&value, &written, name),
        Err(error) => vec![format!("{name}: {error}")],
    }
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

#[test]
fn every_message_of_every_released_version_still_parses() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let versions: Vec<PathBuf> =
        files(&tests).expect("folder").into_iter().filter(|path| path.is_dir()).collect();
    assert!(!versions.is_empty());
    let mut found = Vec::new();
    for version in &versions {
        let samples = files(version).expect("folder");
        assert!(samples.len() > 50, "{}: {} samples", version.display(), samples.len());
        for path in samples {
            let name = path.file_stem().and_then(|name| name.to_str()).expect("name");
            let text = fs::read_to_string(&path).expect("sample");
            found.extend(complaints(name, &text));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn what_would_break_an_old_peer_is_found() {
    for (name, text, complaint) in [
        ("turn.steer.result", r#"{"turnId": 5}"#, "invalid type"),
        (
            "daemon.status.params",
            r#"{"withSandbox": true, "gone": 1}"#,
            "daemon.status.params.gone is missing",
        ),
        ("item.later", r#"{"body": {"type": "later"}}"#, "missing field"),
        ("error.later", r#"{"code": "conflict", "message": "", "detail": {"type": "later"}}"#, "not known"),
        ("other", "{}", "its type is not known here"),
    ] {
        let found = complaints(name, text).concat();
        assert!(found.contains(complaint), "{name}: {found}");
    }
}
