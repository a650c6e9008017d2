//! What the editor asks for.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::schema::content::PromptPart;

/// `initialize`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Initialize {
    /// The latest version that it speaks; a number, whatever else it may be in a later one.
    pub(crate) protocol_version: Value,
    #[serde(default)]
    pub(crate) client_capabilities: Value,
    #[serde(default)]
    pub(crate) client_info: Value,
}

/// What the editor can do. What can't be read it can't.
#[derive(Debug, Default)]
pub(crate) struct ClientCapabilities {
    /// Whether it shows notices.
    pub(crate) has_notices: bool,
    /// Whether it shows that a session is compacted.
    pub(crate) has_compactions: bool,
    /// Whether it shows forms.
    pub(crate) has_forms: bool,
    /// Whether it runs the agent in a terminal, to sign in.
    pub(crate) has_terminal_sign_in: bool,
    /// Whether it says so beside the protocol, as editors did before the protocol had a word for it.
    pub(crate) has_own_terminal_sign_in: bool,
    /// Whether it tells what its buffers hold.
    pub(crate) reads_files: bool,
    /// Whether it has terminals that show what the agent's own commands print.
    pub(crate) shows_output: bool,
}

impl ClientCapabilities {
    pub(crate) fn of(value: &Value) -> Self {
        let has = |value: &Value| value.is_object();
        Self {
            has_notices: has(&value["session"]["notices"]),
            has_compactions: has(&value["session"]["compaction"]),
            has_forms: has(&value["elicitation"]["form"]),
            has_terminal_sign_in: value["auth"]["terminal"] == Value::Bool(true),
            has_own_terminal_sign_in: value["_meta"]["terminal-auth"] == Value::Bool(true),
            shows_output: value["_meta"]["terminal_output"] == Value::Bool(true),
            reads_files: value["fs"]["readTextFile"] == Value::Bool(true),
        }
    }
}

/// `authenticate`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Authenticate {
    pub(crate) method_id: String,
}

/// `session/new`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewSession {
    pub(crate) cwd: PathBuf,
    #[serde(default, deserialize_with = "crate::schema::request::nothing_is_empty")]
    pub(crate) additional_directories: Vec<PathBuf>,
    #[serde(default, deserialize_with = "crate::schema::request::nothing_is_empty")]
    pub(crate) mcp_servers: Vec<McpServer>,
}

/// `session/load` and `session/resume`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OldSession {
    pub(crate) session_id: String,
    pub(crate) cwd: PathBuf,
    #[serde(default, deserialize_with = "crate::schema::request::nothing_is_empty")]
    pub(crate) additional_directories: Vec<PathBuf>,
    #[serde(default, deserialize_with = "crate::schema::request::nothing_is_empty")]
    pub(crate) mcp_servers: Vec<McpServer>,
}

/// An MCP server that the editor would like to have used. What belongs to a way to reach it that is not known is
/// passed over.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct McpServer {
    /// How it is reached; absent: it is a program.
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) command: Option<String>,
    #[serde(default, deserialize_with = "crate::schema::request::nothing_is_empty")]
    pub(crate) args: Vec<String>,
    #[serde(default, deserialize_with = "crate::schema::request::nothing_is_empty")]
    pub(crate) env: Vec<Pair>,
    #[serde(default)]
    pub(crate) url: Option<String>,
    #[serde(default, deserialize_with = "crate::schema::request::nothing_is_empty")]
    pub(crate) headers: Vec<Pair>,
}

/// A variable or a header. The value may be a secret, so it is not shown.
#[derive(Clone, Deserialize)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `session/list`.
#[derive(Debug, Deserialize)]
pub(crate) struct ListSessions {
    #[serde(default)]
    pub(crate) cwd: Option<PathBuf>,
    #[serde(default)]
    pub(crate) cursor: Option<String>,
}

/// What names a session and nothing else: `session/delete`, `session/close`, `session/cancel`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OneSession {
    pub(crate) session_id: String,
}

/// `session/prompt`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Prompt {
    pub(crate) session_id: String,
    pub(crate) prompt: Vec<PromptPart>,
}

/// `session/set_mode`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetMode {
    pub(crate) session_id: String,
    pub(crate) mode_id: String,
}

/// `session/set_config_option`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetOption {
    pub(crate) session_id: String,
    pub(crate) config_id: String,
    pub(crate) value: Value,
}

/// `$/cancel_request`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CancelRequest {
    pub(crate) request_id: Value,
}

/// Null stands for an empty list.
pub(crate) fn nothing_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}
