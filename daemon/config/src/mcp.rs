//! MCP servers, as a person describes them in `[mcp_servers.<name>]`. Knows nothing of how they are spoken to.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use protocol::mcp::ToolApproval;
use protocol::profile::SandboxMode;

use crate::section::Section;
use crate::value::{Place, Value};

/// An MCP server.
#[derive(Clone, PartialEq, Eq)]
pub struct McpServer {
    /// How it is reached.
    pub transport: McpTransport,
    /// Whether it is used at all.
    pub is_enabled: bool,
    /// Whether a turn waits for it, and fails without it.
    pub is_required: bool,
    /// How long it may take to start.
    pub startup_timeout_ms: u64,
    /// How long a call may take without a word from it.
    pub tool_timeout_ms: u64,
    /// If not empty, only these of its tools are there.
    pub enabled_tools: Vec<String>,
    /// These of its tools are not there.
    pub disabled_tools: Vec<String>,
    /// When a person is asked before its tools are called.
    pub approval: ToolApproval,
    /// The same for single tools.
    pub tools: BTreeMap<String, ToolApproval>,
    /// Whether its tools are looked for before they are shown to the model; absent: if they are large.
    pub is_deferred: Option<bool>,
    /// Whether it may ask the session's model, each time with a person's leave.
    pub has_sampling: bool,
}

/// How an MCP server is reached.
#[derive(Clone, PartialEq, Eq)]
pub enum McpTransport {
    /// A program that is started.
    Stdio {
        /// A name in `PATH`, or an absolute path.
        command: String,
        /// Its arguments.
        arguments: Vec<String>,
        /// Variables that it gets, beside what every program needs.
        env: BTreeMap<String, String>,
        /// Variables of the client that it gets too.
        env_vars: Vec<String>,
        /// The folder that it runs in, absolute; absent: that of the workspace.
        cwd: Option<PathBuf>,
        /// What it may touch; absent: what its user may.
        sandbox: Option<SandboxMode>,
    },
    /// A server that is there, by streamable HTTP.
    Http {
        /// Its address.
        url: String,
        /// The environment variable that holds its token.
        bearer_token_env_var: Option<String>,
        /// Headers of every request.
        http_headers: BTreeMap<String, String>,
        /// Headers whose values stand in environment variables: header to variable.
        env_http_headers: BTreeMap<String, String>,
        /// How its users sign in.
        sign_in: McpSignIn,
    },
}

/// What a person says of how to sign in with a server; all of it is found out where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McpSignIn {
    /// What Skein is called by the server of accounts: an id that was given out before, or the address of a document
    /// that describes the client.
    pub client_id: Option<String>,
    /// The environment variable that holds the secret that belongs to the id.
    pub client_secret_env_var: Option<String>,
    /// What leave is asked for; empty: what the server names.
    pub scopes: Vec<String>,
}

/// Without the values of variables and headers, which may be keys.
impl fmt::Debug for McpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio { command, arguments, env, .. } => f
                .debug_struct("Stdio")
                .field("command", command)
                .field("arguments", &arguments.len())
                .field("env", &env.keys())
                .finish_non_exhaustive(),
            Self::Http { url, http_headers, .. } => f
                .debug_struct("Http")
                .field("url", url)
                .field("http_headers", &http_headers.keys())
                .finish_non_exhaustive(),
        }
    }
}

impl fmt::Debug for McpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpServer")
            .field("transport", &self.transport)
            .field("is_enabled", &self.is_enabled)
            .finish_non_exhaustive()
    }
}

impl McpServer {
    /// The longest name of a server.
    pub const MAX_NAME: usize = 32;

    /// Whether a server may have this name: letters, digits, `-` and `_`.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        !name.is_empty() && name.len() <= Self::MAX_NAME && name.chars().all(Self::is_of_name)
    }

    /// Whether a name may have this character.
    #[must_use]
    pub fn is_of_name(c: char) -> bool {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
    }

    /// With defaults.
    #[must_use]
    pub fn new(transport: McpTransport) -> Self {
        Self {
            transport,
            is_enabled: true,
            is_required: false,
            startup_timeout_ms: 10_000,
            tool_timeout_ms: 60_000,
            enabled_tools: Vec::new(),
            disabled_tools: Vec::new(),
            approval: ToolApproval::Auto,
            tools: BTreeMap::new(),
            is_deferred: None,
            has_sampling: false,
        }
    }

    /// Whether this tool is there.
    #[must_use]
    pub fn has_tool(&self, name: &str) -> bool {
        let is_named = |list: &[String]| list.iter().any(|listed| listed == name);
        (self.enabled_tools.is_empty() || is_named(&self.enabled_tools)) && !is_named(&self.disabled_tools)
    }

    /// When a person is asked before this tool is called.
    #[must_use]
    pub fn approval_of(&self, tool: &str) -> ToolApproval {
        self.tools.get(tool).unwrap_or(&self.approval).clone()
    }
}

/// A server on its way: what a layer did not say is left as it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct McpDraft {
    command: Option<String>,
    arguments: Vec<String>,
    env: BTreeMap<String, String>,
    env_vars: Vec<String>,
    cwd: Option<PathBuf>,
    sandbox: Option<SandboxMode>,
    url: Option<String>,
    bearer_token_env_var: Option<String>,
    http_headers: BTreeMap<String, String>,
    env_http_headers: BTreeMap<String, String>,
    sign_in: McpSignIn,
    is_enabled: Option<bool>,
    is_required: Option<bool>,
    startup_timeout_ms: Option<u64>,
    tool_timeout_ms: Option<u64>,
    enabled_tools: Vec<String>,
    disabled_tools: Vec<String>,
    approval: Option<ToolApproval>,
    tools: BTreeMap<String, ToolApproval>,
    is_deferred: Option<bool>,
    has_sampling: Option<bool>,
    /// It says how it is reached, but not so that it can be read; that has been complained of.
    is_misread: bool,
}

impl McpDraft {
    /// Reads what a layer says.
    pub(crate) fn read(&mut self, value: &Value<'_>) {
        let Some(mut section) = value.section() else { return };
        self.transport(&mut section);
        section.set("enabled", &mut self.is_enabled, |value| value.boolean().map(Some));
        section.set("required", &mut self.is_required, |value| value.boolean().map(Some));
        section.set("startup_timeout_sec", &mut self.startup_timeout_ms, |value| seconds(value).map(Some));
        section.set("startup_timeout_ms", &mut self.startup_timeout_ms, |value| value.duration().map(Some));
        section.set("tool_timeout_sec", &mut self.tool_timeout_ms, |value| seconds(value).map(Some));
        section.set("enabled_tools", &mut self.enabled_tools, |value| value.list(Value::text));
        section.set("disabled_tools", &mut self.disabled_tools, |value| value.list(Value::text));
        section.set("approval_mode", &mut self.approval, |value| approval(value).map(Some));
        section.set("deferred", &mut self.is_deferred, |value| value.boolean().map(Some));
        section.set("sampling", &mut self.has_sampling, |value| value.boolean().map(Some));
        for (tool, value) in section.entries("tools") {
            let Some(mut section) = value.section() else { continue };
            let mut mode = None;
            section.set("approval_mode", &mut mode, |value| approval(value).map(Some));
            section.finish();
            if let Some(mode) = mode {
                self.tools.insert(tool.to_owned(), mode);
            }
        }
        section.finish();
    }

    fn transport(&mut self, section: &mut Section<'_>) {
        section.set("command", &mut self.command, |value| program(value).map(Some));
        section.set("args", &mut self.arguments, |value| {
            value.list(|value| value.any_text().map(str::to_owned))
        });
        section.set("env", &mut self.env, Value::texts);
        section.set("env_vars", &mut self.env_vars, |value| value.list(Value::text));
        section.set("cwd", &mut self.cwd, |value| value.path().map(Some));
        section.set("sandbox", &mut self.sandbox, |value| {
            let modes = [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess];
            value.word(&modes.map(|mode| (mode.as_str(), mode))).map(Some)
        });
        section.set("url", &mut self.url, |value| address(value).map(Some));
        let is_there = ["command", "url"].iter().any(|key| section.get(key).is_some());
        self.is_misread |= is_there && self.command.is_none() && self.url.is_none();
        section.set("bearer_token_env_var", &mut self.bearer_token_env_var, |value| value.text().map(Some));
        section.set("http_headers", &mut self.http_headers, Value::texts);
        section.set("env_http_headers", &mut self.env_http_headers, Value::texts);
        section.set("oauth_client_id", &mut self.sign_in.client_id, |value| value.text().map(Some));
        section.set("oauth_client_secret_env_var", &mut self.sign_in.client_secret_env_var, |value| {
            value.text().map(Some)
        });
        section.set("scopes", &mut self.sign_in.scopes, |value| value.list(Value::text));
    }

    /// The server, or a complaint at the place where it was first described.
    pub(crate) fn finish(self, name: &str, place: &Place<'_>) -> Option<McpServer> {
        if !McpServer::is_name(name) {
            let most = McpServer::MAX_NAME;
            let message = format!(
                "The name of an MCP server has letters, digits, `-` and `_`, at most {most}, but is `{name}`"
            );
            place.error(message, None);
            return None;
        }
        let transport = match (self.command, self.url) {
            (Some(command), None) => McpTransport::Stdio {
                command,
                arguments: self.arguments,
                env: self.env,
                env_vars: self.env_vars,
                cwd: self.cwd,
                sandbox: self.sandbox,
            },
            (None, Some(url)) => McpTransport::Http {
                url,
                bearer_token_env_var: self.bearer_token_env_var,
                http_headers: self.http_headers,
                env_http_headers: self.env_http_headers,
                sign_in: self.sign_in,
            },
            (Some(_), Some(_)) => {
                place.error(format!("`{}` has both `command` and `url`", place.key()), None);
                return None;
            }
            (None, None) if self.is_misread => return None,
            (None, None) => {
                place.error(format!("`{}` has neither `command` nor `url`", place.key()), None);
                return None;
            }
        };
        let plain = McpServer::new(transport);
        Some(McpServer {
            is_enabled: self.is_enabled.unwrap_or(plain.is_enabled),
            is_required: self.is_required.unwrap_or(plain.is_required),
            startup_timeout_ms: self.startup_timeout_ms.unwrap_or(plain.startup_timeout_ms),
            tool_timeout_ms: self.tool_timeout_ms.unwrap_or(plain.tool_timeout_ms),
            enabled_tools: self.enabled_tools,
            disabled_tools: self.disabled_tools,
            approval: self.approval.unwrap_or(plain.approval.clone()),
            tools: self.tools,
            is_deferred: self.is_deferred,
            has_sampling: self.has_sampling.unwrap_or(plain.has_sampling),
            ..plain
        })
    }
}

fn approval(value: &Value<'_>) -> Option<ToolApproval> {
    let modes = [ToolApproval::Auto, ToolApproval::Prompt, ToolApproval::Approve, ToolApproval::Deny];
    let words: Vec<(&str, ToolApproval)> = modes.iter().map(|mode| (mode.as_str(), mode.clone())).collect();
    value.word(&words)
}

fn seconds(value: &Value<'_>) -> Option<u64> {
    match value.number() {
        Some(seconds) if seconds > 0.0 && seconds <= 86_400.0 => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in bounds")]
            let milliseconds = (seconds * 1000.0).ceil() as u64;
            Some(milliseconds)
        }
        Some(_) => value.refuse("must be more than 0 and at most 86400", None),
        None => None,
    }
}

/// A name in `PATH`, or an absolute path: what a relative one means would depend on who asks.
fn program(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if text.contains('/') && !Path::new(&text).is_absolute() {
        let message = format!("must name a program in `PATH` or an absolute path, but is `{text}`");
        return value.refuse(&message, None);
    }
    Some(text)
}

fn address(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if text.starts_with("https://") || text.starts_with("http://") {
        return Some(text);
    }
    value.refuse(&format!("must begin with `https://` or `http://`, but is `{text}`"), None)
}
