//! The settings as the daemon uses them: every layer applied, every value checked, nothing left to a default
//! that stands elsewhere. Knows nothing of files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use protocol::catalogue::ModelFacts;
use protocol::model::{ReasoningEffort, ReasoningSummary};
use protocol::profile::{ApprovalPolicy, EnvironmentPolicy, SandboxMode, SandboxRung};
use protocol::session::{AfterCrash, ModelPrice};
use protocol::turn::{Budget, TurnLimits};

use crate::language_servers::{self, Diagnostics, LanguageServer};
use crate::mcp::McpServer;
use crate::permissions::PermissionProfile;

/// The id of the built-in provider.
pub const OPENAI: &str = "openai";
/// The id of the provider whose users sign in with their account.
pub const CHATGPT: &str = "chatgpt";
/// In place of a provider's id: a server of models on this machine, whichever runs.
pub const LOCAL: &str = "oss";
/// Retries beyond this are not made, whatever the settings say.
pub const MAX_RETRIES: u32 = 100;

/// What holds, for the daemon and for a session that is made with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The model's name; absent if none was chosen.
    pub model: Option<String>,
    /// The provider's id: one of `model_providers`, or [`LOCAL`].
    pub model_provider: String,
    /// Whether somebody chose the provider; else it stands for what is found to be usable.
    pub is_provider_chosen: bool,
    /// All providers by their id, the built-in ones included.
    pub model_providers: BTreeMap<String, ModelProvider>,
    /// When a person is asked.
    pub approval_policy: ApprovalPolicy,
    /// What commands may touch.
    pub sandbox_mode: SandboxMode,
    /// What commands may touch in its place, as a person described it.
    pub permissions: Option<PermissionProfile>,
    /// What `workspace-write` means in detail.
    pub sandbox_workspace_write: WorkspaceWrite,
    /// How hard the model should think; absent: the provider's default.
    pub model_reasoning_effort: Option<ReasoningEffort>,
    /// How it tells of its thinking; absent: the provider's default.
    pub model_reasoning_summary: Option<ReasoningSummary>,
    /// What the model is told besides; absent: nothing.
    pub developer_instructions: Option<String>,
    /// The most tokens that an answer may have, before what the provider says.
    pub model_max_output_tokens: Option<u32>,
    /// Requests of more tokens wait until the session was compacted; absent: it depends on the model.
    pub model_auto_compact_token_limit: Option<u64>,
    /// How much the model says, before what the provider says.
    pub model_verbosity: Option<String>,
    /// How fast and dear an answer is, before what the provider says.
    pub service_tier: Option<String>,
    /// Whether the provider may search the web for the model.
    pub web_search: WebSearch,
    /// The file that the provider's answers are recorded in, absolute; absent: none.
    pub record: Option<PathBuf>,
    /// Ceilings of each turn.
    pub limits: TurnLimits,
    /// Ceilings of a session, of a session with its agents, and of a day.
    pub budget: Budget,
    /// How many agents a session may have.
    pub agents: AgentLimits,
    /// What becomes of a turn whose daemon died; absent: it depends on whether somebody looks after the session.
    pub after_crash: Option<AfterCrash>,
    /// After how long a question counts as declined; absent: it waits.
    pub question_timeout_ms: Option<u64>,
    /// The program and its arguments that is told when a session needs its person; empty: none.
    pub notify: Vec<String>,
    /// Programs that are run when something happens, as they stand in `hooks.json` under `hooks`; null: none.
    pub hooks: serde_json::Value,
    /// What is known of models, by their names, before what the catalogue knows; without prices.
    pub models: BTreeMap<String, ModelFacts>,
    /// Dollars per million tokens, by the model's name.
    pub model_prices: BTreeMap<String, ModelPrice>,
    /// Tokens that the tools of MCP servers may cost with each request; beyond it they are looked for first.
    pub mcp_tool_tokens: u64,
    /// The MCP servers, by their names.
    pub mcp_servers: BTreeMap<String, McpServer>,
    /// The names of skills that are switched off.
    pub disabled_skills: Vec<String>,
    /// Whether errors are looked for after an edit.
    pub diagnostics: Diagnostics,
    /// How long an edit waits for that at most.
    pub diagnostics_timeout_ms: u64,
    /// The language servers, by their names, those that are known included.
    pub language_servers: BTreeMap<String, LanguageServer>,
    /// The rung that commands must run on; absent: the strongest that this machine has.
    pub sandbox_backend: Option<SandboxRung>,
    /// What of a client's environment commands see.
    pub shell_environment_policy: EnvironmentPolicy,
    /// The daemon itself.
    pub daemon: DaemonSettings,
}

/// What `workspace-write` means in detail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkspaceWrite {
    /// Further folders that may be written, absolute.
    pub writable_roots: Vec<PathBuf>,
    /// Whether the network is open to commands.
    pub network_access: bool,
    /// Whether `/tmp` is left out of what may be written.
    pub exclude_slash_tmp: bool,
    /// Whether the folder that `TMPDIR` names is left out of what may be written.
    pub exclude_tmpdir_env_var: bool,
}

/// Where models are, and how they are spoken to.
#[derive(Clone, PartialEq, Eq)]
pub struct ModelProvider {
    /// What people call it.
    pub name: String,
    /// The root of its API, such as `https://api.openai.com/v1`; empty for `replay` only.
    pub base_url: String,
    /// The environment variable that holds its key; absent: it needs none.
    pub env_key: Option<String>,
    /// A variable that goes before `env_key` where it is set, for programs that hand a key to one run.
    pub preferred_env_key: Option<String>,
    /// A program that prints its key.
    pub auth: Option<AuthCommand>,
    /// Where its users sign in with an account; absent: there are none.
    pub oauth: Option<OAuthServer>,
    /// The program on this machine that it is.
    pub local: Option<LocalProgram>,
    /// How it is spoken to.
    pub wire_api: WireApi,
    /// The script of a `replay` provider, absolute; present there only.
    pub script: Option<PathBuf>,
    /// Headers of every request.
    pub http_headers: BTreeMap<String, String>,
    /// Headers whose values stand in environment variables: header to variable.
    pub env_http_headers: BTreeMap<String, String>,
    /// Query parameters of every request.
    pub query_params: BTreeMap<String, String>,
    /// How often a request that failed before its answer began is made again; at most [`MAX_RETRIES`].
    pub request_max_retries: u32,
    /// How often an answer that broke off is asked for again; at most [`MAX_RETRIES`].
    pub stream_max_retries: u32,
    /// How long a stream may be silent.
    pub stream_idle_timeout_ms: u64,
    /// How long a connection may take to come about.
    pub connect_timeout_ms: u64,
    /// Certificates (PEM) that are trusted beside those of the system, absolute.
    pub ca_bundle: Option<PathBuf>,
    /// A certificate and its key (PEM) by which the server knows its client, absolute.
    pub client_certificate: Option<PathBuf>,
    /// The proxy that requests go through; absent: what the environment says.
    pub proxy: Option<String>,
    /// Whether answers may come over a WebSocket.
    pub supports_websockets: bool,
    /// Whether the provider itself puts conversations into less; absent: OpenAI's do, where they are at home.
    pub supports_compaction: Option<bool>,
    /// The most tokens that an answer may have; absent: the provider's default, or what the model can.
    pub max_output_tokens: Option<u32>,
    /// How much the model says, in the provider's word; absent: the provider's default.
    pub verbosity: Option<String>,
    /// How fast and dear an answer is, in the provider's word; absent: the provider's default.
    pub service_tier: Option<String>,
    /// Whether the provider may keep the conversation.
    pub store: bool,
    /// Whether the model may call several tools at once.
    pub parallel_tool_calls: bool,
}

impl ModelProvider {
    /// A provider with defaults only.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            base_url: String::new(),
            env_key: None,
            preferred_env_key: None,
            auth: None,
            oauth: None,
            local: None,
            wire_api: WireApi::Responses,
            script: None,
            http_headers: BTreeMap::new(),
            env_http_headers: BTreeMap::new(),
            query_params: BTreeMap::new(),
            request_max_retries: 4,
            stream_max_retries: 5,
            stream_idle_timeout_ms: 300_000,
            connect_timeout_ms: 10_000,
            ca_bundle: None,
            client_certificate: None,
            proxy: None,
            supports_websockets: false,
            supports_compaction: None,
            max_output_tokens: None,
            verbosity: None,
            service_tier: None,
            store: false,
            parallel_tool_calls: true,
        }
    }

    /// The variables that may hold the key, in the order in which they are looked up.
    pub fn env_keys(&self) -> impl Iterator<Item = &str> {
        self.preferred_env_key.iter().chain(&self.env_key).map(String::as_str)
    }

    fn openai() -> Self {
        Self {
            base_url: "https://api.openai.com/v1".to_owned(),
            env_key: Some("OPENAI_API_KEY".to_owned()),
            preferred_env_key: Some("CODEX_API_KEY".to_owned()),
            ..Self::new("OpenAI")
        }
    }

    fn anthropic() -> Self {
        Self {
            base_url: "https://api.anthropic.com/v1".to_owned(),
            env_key: Some("ANTHROPIC_API_KEY".to_owned()),
            wire_api: WireApi::Messages,
            ..Self::new("Anthropic")
        }
    }

    fn gemini() -> Self {
        Self {
            base_url: "https://generativelanguage.googleapis.com/v1beta".to_owned(),
            env_key: Some("GEMINI_API_KEY".to_owned()),
            wire_api: WireApi::Gemini,
            ..Self::new("Gemini")
        }
    }

    fn chatgpt() -> Self {
        Self {
            base_url: "https://chatgpt.com/backend-api/codex".to_owned(),
            oauth: Some(OAuthServer::default()),
            http_headers: BTreeMap::from([("originator".to_owned(), "skein".to_owned())]),
            ..Self::new("ChatGPT")
        }
    }

    fn openrouter() -> Self {
        Self {
            base_url: "https://openrouter.ai/api/v1".to_owned(),
            env_key: Some("OPENROUTER_API_KEY".to_owned()),
            wire_api: WireApi::ChatCompletions,
            ..Self::new("OpenRouter")
        }
    }

    fn ollama() -> Self {
        Self {
            base_url: "http://127.0.0.1:11434/v1".to_owned(),
            local: Some(LocalProgram::Ollama),
            wire_api: WireApi::ChatCompletions,
            ..Self::new("Ollama")
        }
    }

    fn lm_studio() -> Self {
        Self {
            base_url: "http://127.0.0.1:1234/v1".to_owned(),
            local: Some(LocalProgram::LmStudio),
            wire_api: WireApi::ChatCompletions,
            ..Self::new("LM Studio")
        }
    }
}

/// Without the values of headers and query parameters, which may be keys.
impl fmt::Debug for ModelProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelProvider")
            .field("name", &self.name)
            .field("base_url", &self.base_url)
            .field("wire_api", &self.wire_api)
            .field("script", &self.script)
            .field("http_headers", &self.http_headers.keys())
            .field("query_params", &self.query_params.keys())
            .finish_non_exhaustive()
    }
}

/// A program that prints a provider's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthCommand {
    /// A name in `PATH`, or an absolute path.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How long it may take.
    pub timeout_ms: u64,
    /// How long a key is used; absent: until the provider refuses it.
    pub refresh_ms: Option<u64>,
}

impl AuthCommand {
    /// With defaults.
    #[must_use]
    pub fn new(program: String) -> Self {
        Self { program, arguments: Vec::new(), timeout_ms: 5_000, refresh_ms: Some(300_000) }
    }
}

/// Where users of a provider sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthServer {
    /// The root of the server of accounts.
    pub issuer: String,
    /// What it knows this program by.
    pub client_id: String,
}

impl Default for OAuthServer {
    fn default() -> Self {
        Self {
            issuer: "https://auth.openai.com".to_owned(),
            // That of OpenAI's own programs for terminals; there is no other for its accounts.
            client_id: "app_EMoamEEZ73f0CkXaXp7hrann".to_owned(),
        }
    }
}

/// A program that serves models on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalProgram {
    /// Ollama.
    Ollama,
    /// LM Studio.
    LmStudio,
}

/// How a provider is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WireApi {
    /// The OpenAI Responses API.
    #[default]
    Responses,
    /// The OpenAI Chat Completions API, which most other servers speak.
    ChatCompletions,
    /// The Anthropic Messages API.
    Messages,
    /// The Gemini API.
    Gemini,
    /// A script on this machine plays the model.
    Replay,
}

/// The daemon itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSettings {
    /// After how long without a session that runs or is attached it exits; absent: never.
    pub idle_exit_ms: Option<u64>,
    /// What its log tells.
    pub log_level: LogLevel,
    /// What survives when.
    pub durability: Durability,
}

/// What a log tells: this and all that matters more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What went wrong.
    Error,
    /// What is weaker than it should be.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// How it happens.
    Debug,
    /// Everything, contents included.
    Trace,
}

impl LogLevel {
    /// The name as it stands in settings and in filters of `tracing`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Whether the provider may search the web for the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebSearch {
    /// Never.
    #[default]
    Disabled,
    /// In what it keeps of the web.
    Cached,
    /// In the web as it is.
    Live,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the process.
    #[default]
    Process,
    /// A power cut too; slower.
    Power,
}

/// `[agents]`: how many agents a session may have below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentLimits {
    /// How far below one another.
    pub max_depth: u32,
    /// That work at the same time, in one tree.
    pub max_live: u32,
}

impl Default for AgentLimits {
    fn default() -> Self {
        Self { max_depth: 2, max_live: 8 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            model_provider: OPENAI.to_owned(),
            is_provider_chosen: false,
            model_providers: BTreeMap::from([
                (OPENAI.to_owned(), ModelProvider::openai()),
                (CHATGPT.to_owned(), ModelProvider::chatgpt()),
                ("anthropic".to_owned(), ModelProvider::anthropic()),
                ("gemini".to_owned(), ModelProvider::gemini()),
                ("openrouter".to_owned(), ModelProvider::openrouter()),
                ("ollama".to_owned(), ModelProvider::ollama()),
                ("lmstudio".to_owned(), ModelProvider::lm_studio()),
            ]),
            approval_policy: ApprovalPolicy::default(),
            sandbox_mode: SandboxMode::default(),
            permissions: None,
            sandbox_workspace_write: WorkspaceWrite::default(),
            model_reasoning_effort: None,
            model_reasoning_summary: None,
            developer_instructions: None,
            model_max_output_tokens: None,
            model_auto_compact_token_limit: None,
            model_verbosity: None,
            service_tier: None,
            web_search: WebSearch::default(),
            record: None,
            limits: TurnLimits::default(),
            budget: Budget::default(),
            agents: AgentLimits::default(),
            after_crash: None,
            question_timeout_ms: None,
            notify: Vec::new(),
            hooks: serde_json::Value::Null,
            models: BTreeMap::new(),
            model_prices: BTreeMap::new(),
            mcp_tool_tokens: 10_000,
            mcp_servers: BTreeMap::new(),
            disabled_skills: Vec::new(),
            diagnostics: Diagnostics::default(),
            diagnostics_timeout_ms: 2_000,
            language_servers: language_servers::known(),
            sandbox_backend: None,
            shell_environment_policy: EnvironmentPolicy::default(),
            daemon: DaemonSettings {
                idle_exit_ms: Some(30 * 60 * 1000),
                log_level: LogLevel::default(),
                durability: Durability::default(),
            },
        }
    }
}
