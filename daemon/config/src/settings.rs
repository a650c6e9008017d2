//! The settings as the daemon uses them: every layer applied, every value checked, nothing left to a default
//! that stands elsewhere. Knows nothing of files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use protocol::model::{ReasoningEffort, ReasoningSummary};
use protocol::profile::{ApprovalPolicy, SandboxMode, SandboxRung};
use protocol::session::{AfterCrash, ModelPrice};
use protocol::turn::TurnLimits;

/// The id of the built-in provider.
pub const OPENAI: &str = "openai";
/// The model of the built-in provider when none is chosen.
pub const DEFAULT_OPENAI_MODEL: &str = "gpt-5.5";
/// Retries beyond this are not made, whatever the settings say.
pub const MAX_RETRIES: u32 = 100;

/// What holds, for the daemon and for a session that is made with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The model's name; absent only if the provider is not the built-in one and none was chosen.
    pub model: Option<String>,
    /// The provider's id; always one of `model_providers`.
    pub model_provider: String,
    /// All providers by their id, the built-in one included.
    pub model_providers: BTreeMap<String, ModelProvider>,
    /// When a person is asked.
    pub approval_policy: ApprovalPolicy,
    /// What commands may touch.
    pub sandbox_mode: SandboxMode,
    /// What `workspace-write` means in detail.
    pub sandbox_workspace_write: WorkspaceWrite,
    /// How hard the model should think; absent: the provider's default.
    pub model_reasoning_effort: Option<ReasoningEffort>,
    /// How it tells of its thinking; absent: the provider's default.
    pub model_reasoning_summary: Option<ReasoningSummary>,
    /// Ceilings of each turn.
    pub limits: TurnLimits,
    /// What becomes of a turn whose daemon died; absent: it depends on whether somebody looks after the session.
    pub after_crash: Option<AfterCrash>,
    /// After how long a question counts as declined; absent: it waits.
    pub question_timeout_ms: Option<u64>,
    /// The program and its arguments that is told when a session needs its person; empty: none.
    pub notify: Vec<String>,
    /// Dollars per million tokens, by the model's name.
    pub model_prices: BTreeMap<String, ModelPrice>,
    /// The rung that commands must run on; absent: the strongest that this machine has.
    pub sandbox_backend: Option<SandboxRung>,
    /// What of a client's environment commands see.
    pub shell_environment_policy: ShellEnvironmentPolicy,
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

/// What of a client's environment commands see. Keys of providers and Skein's own variables are left out
/// whatever stands here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShellEnvironmentPolicy {
    /// What there is to choose from.
    pub inherit: Inherit,
    /// If not empty, only variables whose names match one of these patterns stay.
    pub include_only: Vec<String>,
    /// Variables whose names match one of these patterns go.
    pub exclude: Vec<String>,
}

/// What of an environment is inherited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inherit {
    /// Nothing.
    None,
    /// What every program needs: `PATH`, `HOME`, `SHELL` and their like.
    Core,
    /// Everything.
    #[default]
    All,
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

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the process.
    #[default]
    Process,
    /// A power cut too; slower.
    Power,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            model_provider: OPENAI.to_owned(),
            model_providers: BTreeMap::from([
                (OPENAI.to_owned(), ModelProvider::openai()),
                ("anthropic".to_owned(), ModelProvider::anthropic()),
                ("gemini".to_owned(), ModelProvider::gemini()),
            ]),
            approval_policy: ApprovalPolicy::default(),
            sandbox_mode: SandboxMode::default(),
            sandbox_workspace_write: WorkspaceWrite::default(),
            model_reasoning_effort: None,
            model_reasoning_summary: None,
            limits: TurnLimits::default(),
            after_crash: None,
            question_timeout_ms: None,
            notify: Vec::new(),
            model_prices: BTreeMap::new(),
            sandbox_backend: None,
            shell_environment_policy: ShellEnvironmentPolicy::default(),
            daemon: DaemonSettings {
                idle_exit_ms: Some(30 * 60 * 1000),
                log_level: LogLevel::default(),
                durability: Durability::default(),
            },
        }
    }
}
