//! What hooks are told on their standard input, in the shapes of Codex and Claude Code, and how an answer that rewrites
//! a call becomes one again.

use std::path::Path;

use extensions::hooks::HookEvent;
use protocol::agent::AgentOrigin;
use protocol::context::{Compaction, CompactionReason};
use protocol::item::{Command, CommandExit, CommandOutcome, CommandOutput, ItemBody};
use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::session::SessionSettings;
use protocol::tool::CallInput;
use serde_json::{Map, Value, json};
use session::hooks::{SessionEnd, SessionStart};

/// Bytes of each text.
const MAX_TEXT: usize = 256 * 1024;

/// What is told of every event.
pub(super) struct Scene<'a> {
    pub(super) session: String,
    pub(super) turn: Option<String>,
    pub(super) cwd: &'a Path,
    /// Absent where a person is told of a session.
    pub(super) settings: Option<&'a SessionSettings>,
}

/// An event, as hooks are told of it.
pub(super) struct Told {
    pub(super) event: HookEvent,
    /// What a matcher is held against.
    pub(super) names: Vec<String>,
    /// What is told beside the scene.
    fields: Map<String, Value>,
}

impl Told {
    fn new(event: HookEvent, names: Vec<String>, fields: Value) -> Self {
        let Value::Object(fields) = fields else { return Self { event, names, fields: Map::new() } };
        Self { event, names, fields }
    }

    pub(super) fn start(start: SessionStart) -> Self {
        let source = match start {
            SessionStart::New => "startup",
            SessionStart::Resumed => "resume",
        };
        Self::new(HookEvent::SessionStart, vec![source.to_owned()], json!({ "source": source }))
    }

    pub(super) fn end(end: SessionEnd) -> Self {
        let reason = match end {
            SessionEnd::Rest => "other",
            SessionEnd::Deleted => "clear",
        };
        Self::new(HookEvent::SessionEnd, vec![reason.to_owned()], json!({ "reason": reason }))
    }

    pub(super) fn prompt(text: &str) -> Self {
        Self::new(HookEvent::UserPromptSubmit, Vec::new(), json!({ "prompt": short(text) }))
    }

    pub(super) fn before(body: &ItemBody) -> Self {
        Self::new(HookEvent::PreToolUse, names(body), of_call(body))
    }

    pub(super) fn permission(body: &ItemBody, reason: &str) -> Self {
        let mut told = Self::new(HookEvent::PermissionRequest, names(body), of_call(body));
        told.fields.insert("reason".to_owned(), short(reason).into());
        told
    }

    pub(super) fn after(body: &ItemBody, output: &str) -> Self {
        let mut told = Self::new(HookEvent::PostToolUse, names(body), of_call(body));
        told.fields.insert("tool_response".to_owned(), response(body, output));
        told
    }

    pub(super) fn before_compaction(compaction: &Compaction) -> Self {
        let instructions = compaction.instructions.as_deref().map(short).unwrap_or_default();
        Self::of_compaction(HookEvent::PreCompact, compaction, ("custom_instructions", instructions))
    }

    pub(super) fn after_compaction(compaction: &Compaction) -> Self {
        let summary = short(&compaction.summary);
        Self::of_compaction(HookEvent::PostCompact, compaction, ("compact_summary", summary))
    }

    fn of_compaction(event: HookEvent, compaction: &Compaction, (key, value): (&str, String)) -> Self {
        let trigger = match compaction.reason {
            CompactionReason::Requested => "manual",
            CompactionReason::Full | CompactionReason::Refused | CompactionReason::Unknown(_) => "auto",
        };
        Self::new(event, vec![trigger.to_owned()], json!({ "trigger": trigger, key: value }))
    }

    pub(super) fn stop(is_active: bool, last_message: Option<&str>) -> Self {
        let fields =
            json!({ "stop_hook_active": is_active, "last_assistant_message": last_message.map(short) });
        Self::new(HookEvent::Stop, Vec::new(), fields)
    }

    /// That an agent starts. The names that others have for it: its type is what it is called.
    pub(super) fn agent_start(id: &str, agent: &AgentOrigin) -> Self {
        Self::new(HookEvent::SubagentStart, Vec::new(), json!({})).with_agent(id, agent)
    }

    /// That an agent is to stop, in place of a session.
    pub(super) fn of_agent(self, id: &str, agent: &AgentOrigin) -> Self {
        Self { event: HookEvent::SubagentStop, ..self }.with_agent(id, agent)
    }

    fn with_agent(mut self, id: &str, agent: &AgentOrigin) -> Self {
        self.names = vec![agent.name.clone()];
        // What they hear of is the session at the top, and the agent in it.
        self.fields.insert("session_id".to_owned(), agent.root.to_string().into());
        self.fields.insert("agent_id".to_owned(), id.into());
        self.fields.insert("agent_type".to_owned(), agent.name.clone().into());
        self
    }

    pub(super) fn notification(kind: &str, message: &str) -> Self {
        let fields = json!({ "notification_type": kind, "message": short(message) });
        Self::new(HookEvent::Notification, vec![kind.to_owned()], fields)
    }

    /// The whole of it, as one line.
    pub(super) fn input(&self, scene: &Scene<'_>) -> String {
        let mut all = Map::new();
        all.insert("session_id".to_owned(), scene.session.clone().into());
        all.insert("turn_id".to_owned(), scene.turn.clone().into());
        // The log is in a database, and only the daemon's to read.
        all.insert("transcript_path".to_owned(), Value::Null);
        all.insert("cwd".to_owned(), scene.cwd.to_string_lossy().into());
        all.insert("hook_event_name".to_owned(), self.event.as_str().into());
        if let Some(settings) = scene.settings {
            all.insert("model".to_owned(), settings.model.clone().into());
            all.insert("permission_mode".to_owned(), mode(settings).into());
        }
        all.extend(self.fields.clone());
        Value::Object(all).to_string()
    }
}

/// The call with another input; `None` where the answer has nothing that fits.
pub(super) fn rewritten(body: &ItemBody, updated: &Value) -> Option<CallInput> {
    let call = body.call()?;
    let text = || updated.get("command").or_else(|| updated.get("input")).and_then(Value::as_str);
    match (body, &call.input) {
        (ItemBody::Command(command), CallInput::Json(arguments)) if !command.argv.is_empty() => {
            let mut arguments: Map<String, Value> = serde_json::from_str(arguments).ok()?;
            let key = if arguments.contains_key("cmd") { "cmd" } else { "command" };
            arguments.insert(key.to_owned(), text()?.into());
            Some(CallInput::Json(Value::Object(arguments).to_string()))
        }
        // A patch that came through a tool for commands.
        (ItemBody::FileChange(_), CallInput::Json(arguments)) => {
            let arguments: Map<String, Value> = serde_json::from_str(arguments).ok()?;
            let with = match arguments.keys().find(|key| ["input", "patch"].contains(&key.as_str())) {
                Some(key) => json!({ key: text()? }),
                None => json!({ "command": ["apply_patch", text()?] }),
            };
            Some(CallInput::Json(with.to_string()))
        }
        (_, CallInput::Freeform(_)) => Some(CallInput::Freeform(text()?.to_owned())),
        (_, CallInput::Json(_)) => Some(CallInput::Json(updated.to_string())),
    }
}

/// What other programs call the tool of a call first, then what else it is called.
fn names(body: &ItemBody) -> Vec<String> {
    let own = body.call().map(|call| call.name.clone());
    let known: &[&str] = match body {
        ItemBody::Command(command) if !command.argv.is_empty() => &["Bash"],
        ItemBody::FileChange(_) => &["apply_patch", "Edit", "Write"],
        ItemBody::Command(_)
        | ItemBody::ToolCall(_)
        | ItemBody::Plan(_)
        | ItemBody::UserMessage(_)
        | ItemBody::AgentMessage(_)
        | ItemBody::Reasoning(_)
        | ItemBody::Notice(_)
        | ItemBody::WebSearch(_)
        | ItemBody::Compaction(_)
        | ItemBody::Agent(_)
        | ItemBody::Review(_)
        | ItemBody::Unknown(_) => &[],
    };
    let mut names: Vec<String> = known.iter().map(|&name| name.to_owned()).collect();
    if let ItemBody::ToolCall(other) = body
        && let Some(server) = &other.server
        && !other.call.name.starts_with("mcp__")
    {
        names.push(format!("mcp__{server}__{}", other.call.name));
    }
    names.extend(own.filter(|own| !known.contains(&own.as_str())));
    names
}

fn of_call(body: &ItemBody) -> Value {
    let Some(call) = body.call() else { return json!({}) };
    let input = match (body, &call.input) {
        (ItemBody::Command(command), _) if !command.argv.is_empty() => {
            json!({ "command": short(&command.command) })
        }
        (ItemBody::FileChange(_), input) => json!({ "command": short(input.text()) }),
        (_, CallInput::Json(arguments)) => serde_json::from_str(arguments).unwrap_or(Value::Null),
        (_, CallInput::Freeform(text)) => json!({ "input": short(text) }),
    };
    let name = names(body).into_iter().next();
    json!({ "tool_name": name, "tool_input": input, "tool_use_id": call.call_id })
}

fn response(body: &ItemBody, output: &str) -> Value {
    let ItemBody::Command(Command { outcome: Some(CommandOutcome { exit, output: printed, .. }), .. }) = body
    else {
        return short(output).into();
    };
    let CommandOutput { head, tail, .. } = printed;
    let code = if let CommandExit::Code { code } = exit { Some(*code) } else { None };
    json!({
        "stdout": short(&format!("{head}{tail}")),
        "stderr": "",
        "exit_code": code,
        "interrupted": *exit == CommandExit::Interrupted,
    })
}

fn mode(settings: &SessionSettings) -> &'static str {
    match (settings.approval, settings.sandbox) {
        (ApprovalPolicy::Never, SandboxMode::DangerFullAccess) => "bypassPermissions",
        (ApprovalPolicy::Never, SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite) => "dontAsk",
        (ApprovalPolicy::Untrusted | ApprovalPolicy::OnRequest, _) => "default",
    }
}

/// The beginning of a text.
fn short(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TEXT);
    if end == text.len() { text.to_owned() } else { format!("{}…", &text[..end]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::item::{FileChange, OtherToolCall};
    use protocol::tool::ToolCall;

    fn call(name: &str, input: CallInput) -> ToolCall {
        ToolCall { call_id: "c".to_owned(), name: name.to_owned(), input }
    }

    fn command(arguments: &str) -> ItemBody {
        ItemBody::Command(Command {
            call: call("shell", CallInput::Json(arguments.to_owned())),
            command: "rm -rf build".to_owned(),
            argv: vec!["/bin/bash".to_owned(), "-c".to_owned(), "rm -rf build".to_owned()],
            cwd: "/repo".into(),
            is_escalated: false,
            justification: None,
            has_terminal: false,
            process_id: None,
            timeout_ms: None,
            output_so_far: String::new(),
            outcome: None,
            message: None,
        })
    }

    fn other(name: &str, server: Option<&str>) -> ItemBody {
        ItemBody::ToolCall(OtherToolCall {
            call: call(name, CallInput::Json("{\"path\": \"a\"}".to_owned())),
            server: server.map(str::to_owned),
            consent: None,
            output: None,
            content: Vec::new(),
            structured: None,
        })
    }

    #[test]
    fn tools_have_the_names_that_people_know() {
        for (body, expected) in [
            (command("{}"), &["Bash", "shell"][..]),
            (other("read_file", None), &["read_file"]),
            (other("mcp__files__read", Some("files")), &["mcp__files__read"]),
            (other("read", Some("files")), &["mcp__files__read", "read"]),
        ] {
            assert_eq!(names(&body), expected);
        }
    }

    #[test]
    fn a_command_is_told_as_it_was_typed_and_rewritten_in_its_place() {
        let body = command("{\"command\": [\"rm\", \"-rf\", \"build\"], \"workdir\": \"/repo\"}");
        let told = Told::before(&body);
        let scene = Scene { session: "s".to_owned(), turn: None, cwd: Path::new("/repo"), settings: None };
        let input: Value = serde_json::from_str(&told.input(&scene)).expect("JSON");
        assert_eq!((&input["tool_name"], &input["hook_event_name"]), (&"Bash".into(), &"PreToolUse".into()));
        assert_eq!(input["tool_input"], json!({"command": "rm -rf build"}));
        let Some(CallInput::Json(text)) = rewritten(&body, &json!({"command": "rm -r build"})) else {
            panic!("not rewritten")
        };
        let rewritten: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(rewritten, json!({"command": "rm -r build", "workdir": "/repo"}));
        assert_eq!(super::rewritten(&body, &json!({"description": "no command"})), None);
    }

    #[test]
    fn patches_and_other_tools_are_rewritten_as_a_whole() {
        let patch = ItemBody::FileChange(FileChange {
            call: call("apply_patch", CallInput::Freeform("old".to_owned())),
            changes: Vec::new(),
            message: None,
        });
        assert_eq!(names(&patch), ["apply_patch", "Edit", "Write"]);
        let updated = json!({"command": "new"});
        assert_eq!(rewritten(&patch, &updated), Some(CallInput::Freeform("new".to_owned())));
        let updated = json!({"path": "b"});
        assert_eq!(
            rewritten(&other("read_file", None), &updated),
            Some(CallInput::Json(updated.to_string()))
        );
    }
}
