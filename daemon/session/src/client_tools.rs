//! Tools that clients have for a session: what may be registered, and how a call becomes a question to the client. They
//! stay in the session's log when their client leaves, so that what the model is told of does not change by itself; a
//! call fails then, and says so.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::client_tool::{ClientTool, RegisteredTool};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::item::{ItemBody, ItemStatus, OtherToolCall};
use protocol::question::{Decision, QuestionKind};
use protocol::tool::{CallInput, ToolCall, ToolInput, ToolSpecification};
use protocol::turn::Actor;
use serde_json::{Map, Value};
use tools::registry::Registry;
use tools::tool::{CallError, RunContext, RunOutcome, Tool};

/// How long a client may take to answer.
pub const DEFAULT_TIMEOUT_MS: u64 = 60_000;
const MAX_TIMEOUT_MS: u64 = 3_600_000;
/// Tools of one client, and of all clients of a session.
const MAX_TOOLS: usize = 32;
const MAX_ALL_TOOLS: usize = 64;
/// Bytes of a name, a description, a schema, and of all that one client registers.
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 2 * 1024;
const MAX_SCHEMA: usize = 8 * 1024;
const MAX_ALL: usize = 32 * 1024;
/// Bytes of an answer that the model is shown.
const MAX_ANSWER: usize = 64 * 1024;
/// How tools of MCP servers begin.
const OF_SERVERS: &str = "mcp__";

/// Refuses tools that can't be offered beside those that every session has.
///
/// # Errors
/// `InvalidRequest`.
pub(crate) fn check(tools: &[ClientTool], timeout_ms: u64, own: &Registry) -> Result<(), ProtocolError> {
    let invalid = |message: String| ProtocolError::new(ErrorCode::InvalidRequest, message);
    if tools.len() > MAX_TOOLS {
        return Err(invalid(format!("A client may have {MAX_TOOLS} tools, not {}", tools.len())));
    }
    if !(1..=MAX_TIMEOUT_MS).contains(&timeout_ms) {
        return Err(invalid(format!("`timeoutMs` must be 1 to {MAX_TIMEOUT_MS}, not {timeout_ms}")));
    }
    let own = own.specifications();
    let mut names: BTreeSet<&str> = own.iter().map(|tool| tool.name.as_str()).collect();
    let mut total = 0;
    for ClientTool { name, description, schema, .. } in tools {
        let is_plain = |name: &str| {
            !name.is_empty()
                && name.len() <= MAX_NAME
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        };
        if !is_plain(name) {
            let hint = format!("Letters, digits, `_` and `-` make one, {MAX_NAME} at most");
            return Err(invalid("A name is none for a tool".to_owned()).with_hint(hint));
        }
        if name.starts_with(OF_SERVERS) {
            return Err(invalid(format!("`{name}` is the name of a tool of an MCP server")));
        }
        if !names.insert(name) {
            return Err(invalid(format!("There is a tool `{name}` already")));
        }
        let is_text = |c: char| !c.is_control() || c == '\n' || c == '\t';
        if description.len() > MAX_DESCRIPTION || !description.chars().all(is_text) {
            let message =
                format!("The description of `{name}` is longer than {MAX_DESCRIPTION} bytes or no text");
            return Err(invalid(message));
        }
        let bytes = schema.to_string().len();
        if schema["type"] != "object" || bytes > MAX_SCHEMA {
            let message =
                format!("The schema of `{name}` is none of an object, or longer than {MAX_SCHEMA} bytes");
            return Err(invalid(message));
        }
        total += name.len() + description.len() + bytes;
    }
    if total > MAX_ALL {
        return Err(invalid(format!("The tools take {total} bytes together, and may take {MAX_ALL}")));
    }
    Ok(())
}

/// What a session has once a client registered these; what it, or an earlier client of its name, had is gone.
pub(crate) fn merged(
    known: &[RegisteredTool],
    actor: &Actor,
    tools: &[ClientTool],
    timeout_ms: u64,
) -> Vec<RegisteredTool> {
    let new =
        tools.iter().map(|tool| RegisteredTool { owner: actor.clone(), timeout_ms, tool: tool.clone() });
    of_others(known, actor).cloned().chain(new).collect()
}

/// Refuses tools whose names others have, and too many.
///
/// # Errors
/// `Conflict`.
pub(crate) fn check_others(
    known: &[RegisteredTool],
    actor: &Actor,
    tools: &[ClientTool],
) -> Result<(), ProtocolError> {
    let conflict = |message: String| Err(ProtocolError::new(ErrorCode::Conflict, message));
    let has_name = |other: &&RegisteredTool| tools.iter().any(|tool| tool.name == other.tool.name);
    if let Some(other) = of_others(known, actor).find(has_name) {
        return conflict(format!("`{}` is a tool of the client `{}`", other.tool.name, other.owner.name));
    }
    if of_others(known, actor).count() + tools.len() > MAX_ALL_TOOLS {
        return conflict(format!("The clients of a session may have {MAX_ALL_TOOLS} tools together"));
    }
    Ok(())
}

fn of_others<'a>(known: &'a [RegisteredTool], actor: &Actor) -> impl Iterator<Item = &'a RegisteredTool> {
    known.iter().filter(|known| known.owner.client_id != actor.client_id && known.owner.name != actor.name)
}

/// A tool of a client, as the model calls it.
pub(crate) struct OfClient(pub(crate) RegisteredTool);

impl Tool for OfClient {
    fn specification(&self) -> ToolSpecification {
        let ClientTool { name, description, schema, .. } = self.0.tool.clone();
        ToolSpecification { name, description, input: ToolInput::Json { schema } }
    }

    fn is_read_only(&self) -> bool {
        self.0.tool.is_read_only
    }

    /// What the arguments must be beyond an object is the client's to say.
    fn prepare(&self, call: &ToolCall, _cwd: &Path) -> Result<ItemBody, CallError> {
        let text = match &call.input {
            CallInput::Json(text) if text.trim().is_empty() => "{}",
            CallInput::Json(text) | CallInput::Freeform(text) => text,
        };
        if let Err(error) = serde_json::from_str::<Map<String, Value>>(text) {
            return Err(CallError::BadArguments { tool: call.name.clone(), reason: error.to_string() });
        }
        Ok(ItemBody::ToolCall(OtherToolCall::new(call.clone())))
    }

    fn run(&self, body: ItemBody, context: RunContext) -> BoxFuture<'static, RunOutcome> {
        let RegisteredTool { owner, timeout_ms, tool } = self.0.clone();
        Box::pin(async move {
            let ItemBody::ToolCall(mut other) = body else {
                return RunOutcome { status: ItemStatus::Failed, body };
            };
            let reason = format!("`{}` is a tool of the client `{}`, which answers", tool.name, owner.name);
            let arguments = other.call.input.text().to_owned();
            let kind = QuestionKind::ClientTool { client: owner.clone(), tool: tool.name, arguments };
            let decision = tokio::select! {
                decision = context.asker.ask(kind, reason) => Some(decision),
                () = context.cancel.cancelled() => None,
                () = tokio::time::sleep(Duration::from_millis(timeout_ms)) => Some(Decision::Deny {
                    message: Some(format!("The client `{}` did not answer within {timeout_ms} ms", owner.name)),
                }),
            };
            let (status, output) = match decision {
                None => {
                    (ItemStatus::Interrupted, "Interrupted by a person before the client answered".to_owned())
                }
                Some(Decision::Content { value }) => {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    other.structured = value.is_object().then_some(value);
                    (ItemStatus::Completed, text)
                }
                Some(Decision::Deny { message }) => {
                    let message = message.unwrap_or_else(|| format!("The client `{}` declined", owner.name));
                    (ItemStatus::Failed, message)
                }
                Some(Decision::Allow { .. } | Decision::Reply { .. } | Decision::Unknown(_)) => {
                    (ItemStatus::Failed, "The client's answer can't be understood".to_owned())
                }
            };
            other.output = Some(bounded(output));
            RunOutcome { status, body: ItemBody::ToolCall(other) }
        })
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_ANSWER {
        let omitted = text.len() - MAX_ANSWER;
        text.truncate(text.floor_char_boundary(MAX_ANSWER));
        text.push_str(&format!("\n[… {omitted} bytes left out …]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::ids::ClientId;
    use serde_json::json;

    use super::*;

    fn tool(name: &str) -> ClientTool {
        let schema = json!({"type": "object"});
        ClientTool { name: name.into(), description: "Opens it".into(), schema, is_read_only: false }
    }

    fn client(name: &str) -> Actor {
        Actor { client_id: ClientId::generate(), name: name.into() }
    }

    fn own() -> Registry {
        let own =
            Arc::new(OfClient(RegisteredTool { owner: client("own"), timeout_ms: 1, tool: tool("shell") }));
        Registry::new(own.clone(), own, Vec::new())
    }

    #[test]
    fn hostile_names_schemas_and_sizes_are_refused() {
        let with = |change: fn(&mut ClientTool)| {
            let mut tool = tool("open");
            change(&mut tool);
            vec![tool]
        };
        for (tools, expected) in [
            (with(|tool| tool.name = String::new()), "no name"),
            (with(|tool| tool.name = "a b".into()), "no name"),
            (with(|tool| tool.name = "a\u{202e}b".into()), "no name"),
            (with(|tool| tool.name = "x".repeat(65)), "no name"),
            (with(|tool| tool.name = "mcp__a__b".into()), "MCP server"),
            (with(|tool| tool.name = "shell".into()), "already"),
            (vec![tool("a"), tool("a")], "already"),
            (with(|tool| tool.description = "x".repeat(MAX_DESCRIPTION + 1)), "description"),
            (with(|tool| tool.description = "\u{1b}[2J".into()), "description"),
            (with(|tool| tool.schema = json!("object")), "schema"),
            (with(|tool| tool.schema = json!({"type": "string"})), "schema"),
            (with(|tool| tool.schema = json!({"type": "object", "x": "x".repeat(MAX_SCHEMA)})), "schema"),
            ((0..=MAX_TOOLS).map(|number| tool(&format!("t{number}"))).collect(), "32 tools"),
        ] {
            let refused = check(&tools, 1, &own()).expect_err(expected);
            let is_it = refused.message.contains(expected) || expected == "no name";
            assert!(is_it && refused.code == ErrorCode::InvalidRequest, "{expected}: {refused:?}");
        }
        assert!(check(&[tool("open")], 0, &own()).is_err());
        assert!(check(&[tool("open")], MAX_TIMEOUT_MS + 1, &own()).is_err());
        check(&[tool("open"), tool("close")], DEFAULT_TIMEOUT_MS, &own()).expect("allowed");
    }

    #[test]
    fn a_client_takes_the_place_of_an_earlier_one_of_its_name_and_of_no_other() {
        let (editor, again, other) = (client("editor"), client("editor"), client("other"));
        let first = merged(&[], &editor, &[tool("open"), tool("close")], 1);
        let both = merged(&first, &other, &[tool("paint")], 1);
        check_others(&both, &again, &[tool("open")]).expect("its own");
        let names =
            |tools: &[RegisteredTool]| tools.iter().map(|tool| tool.tool.name.clone()).collect::<Vec<_>>();
        let anew = merged(&both, &again, &[tool("open")], 1);
        assert_eq!(names(&anew), ["paint", "open"]);
        let refused = check_others(&anew, &other, &[tool("open")]).expect_err("taken");
        assert_eq!(refused.code, ErrorCode::Conflict);
    }
}
