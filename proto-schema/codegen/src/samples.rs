//! One real value of each message: parameters and results of every method, notifications, events, items and
//! errors. Other languages test their own types with them. Knows no more of a message than that it can be
//! read and written.

mod agent;
mod client_tools;
mod errors;
mod events;
mod hook;
mod items;
mod language_server;
mod mcp;
mod models;
mod queue;
mod rewind;
mod session;
mod skill;
mod small;
mod spending;
mod tool;
mod trust;
mod turn;

use protocol::ids::{
    BlobId, ClientId, ItemId, QuestionId, QueuedId, RequestId, SessionId, Timestamp, TurnId,
};
use protocol::item::{Item, ItemBody, ItemStatus};
use protocol::model::Usage;
use protocol::tool::{CallInput, ToolCall};
use protocol::turn::Actor;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// A message as text, and how it is read again.
pub(crate) struct Sample {
    /// The file's name without its ending: `<method>.params`, `<method>.result`, `<notification>.<variant>`,
    /// `event.<variant>`, `item.<variant>` or `error.<variant>`.
    pub(crate) name: String,
    /// Indented, with a line feed at the end, in the order of the Rust type.
    pub(crate) text: String,
    /// The name of its type in the schema.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests hold it against the schema"))]
    type_name: String,
    /// Reads a text as that type and writes it again.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests read every sample again"))]
    again: fn(&str) -> serde_json::Result<String>,
}

/// All samples, each name once.
pub(crate) fn all() -> Vec<Sample> {
    let groups = [
        small::samples(),
        session::samples(),
        client_tools::samples(),
        turn::samples(),
        queue::samples(),
        rewind::samples(),
        spending::samples(),
        agent::samples(),
        models::samples(),
        trust::samples(),
        mcp::samples(),
        hook::samples(),
        language_server::samples(),
        skill::samples(),
        tool::samples(),
        events::samples(),
        items::samples(),
        errors::samples(),
    ];
    groups.into_iter().flatten().collect()
}

fn sample<T: Serialize + DeserializeOwned + JsonSchema>(name: impl Into<String>, value: &T) -> Sample {
    Sample {
        name: name.into(),
        text: text(value).unwrap_or_default(),
        type_name: T::schema_name().into_owned(),
        again: |found| text(&serde_json::from_str::<T>(found)?),
    }
}

fn text<T: Serialize>(value: &T) -> serde_json::Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// A UUIDv7 of the year 2026 that differs by its last digits.
fn uuid(number: u16) -> Uuid {
    Uuid::from_u128(0x019b_0000_0000_7000_8000_0000_0000_0000 + u128::from(number))
}

fn session_id() -> SessionId {
    SessionId(uuid(0x1))
}

fn turn_id() -> TurnId {
    TurnId(uuid(0x2))
}

fn item_id() -> ItemId {
    ItemId(uuid(0x3))
}

fn question_id() -> QuestionId {
    QuestionId(uuid(0x4))
}

fn client_id() -> ClientId {
    ClientId(uuid(0x5))
}

fn queued_id() -> QueuedId {
    QueuedId(uuid(0x7))
}

fn request_id() -> RequestId {
    RequestId(uuid(0x8))
}

fn blob_id() -> BlobId {
    BlobId(format!("sha256:{}", "0123456789abcdef".repeat(4)))
}

fn actor() -> Actor {
    Actor { client_id: client_id(), name: "skein exec".to_owned() }
}

/// A time some seconds after that of the ids.
fn at(seconds: u64) -> Timestamp {
    Timestamp(1_765_238_400_000 + seconds * 1000)
}

fn usage() -> Usage {
    Usage {
        input_tokens: 5200,
        cached_input_tokens: 4096,
        cache_write_input_tokens: 0,
        output_tokens: 240,
        reasoning_output_tokens: 128,
    }
}

fn call(name: &str, input: CallInput) -> ToolCall {
    ToolCall { call_id: "call_1".to_owned(), name: name.to_owned(), input }
}

fn item(body: ItemBody) -> Item {
    Item {
        id: item_id(),
        turn_id: turn_id(),
        step: 0,
        status: ItemStatus::Completed,
        started_at: at(3),
        completed_at: Some(at(4)),
        called_by: None,
        body,
    }
}

#[cfg(test)]
mod tests;
