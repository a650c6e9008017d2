//! The keys of `config.toml`, and where their values go. The functions here are the list of what exists.
//! Knows nothing of files and layers.

use std::path::Path;

use protocol::catalogue::ModelFacts;
use protocol::model::{ReasoningEffort, ReasoningSummary};
use protocol::profile::{ApprovalPolicy, EnvironmentPolicy, Inherited, SandboxMode, SandboxRung};
use protocol::session::AfterCrash;
use protocol::turn::{Budget, TurnLimits};
use serde_json::{Value as Json, from_value};

use crate::draft::Draft;
use crate::hooks;
use crate::language_servers::{self, Diagnostics};
use crate::permissions;
use crate::section::Section;
use crate::settings::{
    AgentLimits, AuthCommand, DaemonSettings, Durability, LogLevel, MAX_RETRIES, ModelProvider, OPENAI,
    WebSearch, WireApi, WorkspaceWrite,
};
use crate::value::{Value, nearest};

/// What other programs call a wire API, and what it is here.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("chat_completions", "chat"),
    ("chat-completions", "chat"),
    ("completions", "chat"),
    ("openai", "chat"),
    ("openai-completions", "chat"),
    ("openai-responses", "responses"),
    ("responses_websocket", "responses"),
    ("anthropic", "messages"),
    ("anthropic-messages", "messages"),
    ("google", "gemini"),
    ("generate_content", "gemini"),
];
/// Servers of models that are providers of their own here, by what other programs call their wire APIs.
const SERVERS: &[&str] = &["ollama", "lmstudio"];

/// The keys that hold for a session; they may stand at the top, in a profile and in an override.
pub(crate) fn session<'a>(section: &mut Section<'a>, draft: &mut Draft<'a>) {
    let settings = &mut draft.settings;
    section.set("model", &mut settings.model, |value| value.text().map(Some));
    if let Some(value) = section.get("model_provider")
        && let Some(id) = value.text()
    {
        settings.model_provider = id;
        settings.is_provider_chosen = true;
        draft.provider_place = Some(value.place().clone());
    }
    section.set("approval_policy", &mut settings.approval_policy, approval_policy);
    let mode = section.get("sandbox_mode");
    if let Some(value) = &mode {
        let modes = [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess];
        if let Some(mode) = value.word(&modes.map(|mode| (mode.as_str(), mode))) {
            settings.sandbox_mode = mode;
            draft.permissions.replace_by_mode(value.place());
        }
    }
    if let Some(value) = section.get("default_permissions")
        && let Some(name) = value.text()
    {
        if let Some(mode) = mode {
            let message = "`sandbox_mode` has no effect beside `default_permissions`".to_owned();
            mode.place().warn(message, None);
        }
        draft.permissions.choose(name, value.place());
    }
    section.within("sandbox_workspace_write", |section| {
        workspace_write(section, &mut settings.sandbox_workspace_write);
    });
    section.set("model_reasoning_effort", &mut settings.model_reasoning_effort, |value| {
        // Empty in a profile or an override: as the provider does it, whatever stands elsewhere.
        if value.any_text() == Some("") {
            return Some(None);
        }
        open_word::<ReasoningEffort>(value, &["none", "minimal", "low", "medium", "high", "xhigh"]).map(Some)
    });
    section.set("model_reasoning_summary", &mut settings.model_reasoning_summary, |value| {
        open_word::<ReasoningSummary>(value, &["auto", "concise", "detailed", "none"]).map(Some)
    });
    section.set("developer_instructions", &mut settings.developer_instructions, |value| {
        // Empty in a profile or an override: none, whatever stands elsewhere.
        value.any_text().map(|text| Some(text.to_owned()).filter(|text| !text.trim().is_empty()))
    });
    section.set("model_max_output_tokens", &mut settings.model_max_output_tokens, |value| {
        value.whole(1..=u32::MAX).map(Some)
    });
    section.set("model_auto_compact_token_limit", &mut settings.model_auto_compact_token_limit, |value| {
        value.whole(1..=u64::from(u32::MAX)).map(Some)
    });
    section.set("model_verbosity", &mut settings.model_verbosity, verbosity);
    section.set("service_tier", &mut settings.service_tier, |value| value.text().map(Some));
    section.set("record", &mut settings.record, |value| value.path().map(Some));
    section.within("limits", |section| limits(section, &mut settings.limits));
    section.within("budget", |section| budget(section, &mut settings.budget));
    section.within("agents", |section| agents(section, &mut settings.agents));
    section.set("after_crash", &mut settings.after_crash, |value| {
        value.word(&[("wait", AfterCrash::Wait), ("continue", AfterCrash::Continue)]).map(Some)
    });
    section.set("web_search", &mut settings.web_search, |value| {
        let words =
            [("disabled", WebSearch::Disabled), ("cached", WebSearch::Cached), ("live", WebSearch::Live)];
        value.word(&words)
    });
    section.within("skills", |section| {
        section.set("disabled", &mut settings.disabled_skills, |value| value.list(Value::text));
    });
    section.set("diagnostics", &mut settings.diagnostics, |value| {
        value.word(&[("on", Diagnostics::On), ("off", Diagnostics::Off)])
    });
    section.set("diagnostics_timeout", &mut settings.diagnostics_timeout_ms, Value::duration);
    section.set("question_timeout", &mut settings.question_timeout_ms, duration_or_never);
    section.within("shell_environment_policy", |section| {
        shell_environment_policy(section, &mut settings.shell_environment_policy);
    });
    if let Some(provider) = settings.model_providers.get_mut(OPENAI) {
        section.set("openai_base_url", &mut provider.base_url, base_url);
    }
}

/// What can be looked up by name: providers, MCP servers and prices.
pub(crate) fn catalogue<'a>(section: &mut Section<'a>, draft: &mut Draft<'a>) {
    for (id, value) in section.entries("model_providers") {
        if let Some(mut section) = value.section() {
            let providers = &mut draft.settings.model_providers;
            let provider = providers.entry(id.to_owned()).or_insert_with(|| ModelProvider::new(id));
            model_provider(&mut section, provider);
            section.finish();
            draft.provider_places.entry(id.to_owned()).or_insert_with(|| value.place().clone());
        }
    }
    section.set("mcp_tool_tokens", &mut draft.settings.mcp_tool_tokens, |value| {
        value.whole(0..=u64::from(u32::MAX))
    });
    for (name, value) in section.entries("mcp_servers") {
        draft.mcp_server(name, value.place()).read(&value);
    }
    for (name, value) in section.entries("language_servers") {
        language_servers::read(name, &value, &mut draft.settings.language_servers);
    }
    for (model, value) in section.entries("model_prices") {
        price(model, &value, draft);
    }
    for (model, value) in section.entries("models") {
        let Some(mut section) = value.section() else { continue };
        if let Some(value) = section.get("price") {
            price(model, &value, draft);
        }
        let facts = draft.settings.models.entry(model.to_owned()).or_default();
        model_facts(&mut section, facts);
        section.finish();
    }
}

fn price<'a>(model: &str, value: &Value<'a>, draft: &mut Draft<'a>) {
    let Some(mut section) = value.section() else { return };
    let price = draft.price(model, value.place());
    section.set("input", &mut price.input, |value| value.number().map(Some));
    section.set("cached_input", &mut price.cached_input, |value| value.number().map(Some));
    section.set("cache_write_input", &mut price.cache_write_input, |value| value.number().map(Some));
    section.set("output", &mut price.output, |value| value.number().map(Some));
    section.finish();
}

fn model_facts(section: &mut Section<'_>, target: &mut ModelFacts) {
    let tokens = |value: &Value<'_>| value.whole(1..=u64::from(u32::MAX)).map(Some);
    section.set("context_window", &mut target.context_window, tokens);
    section.set("max_output_tokens", &mut target.max_output_tokens, tokens);
    section.set("tools", &mut target.has_tools, |value| value.boolean().map(Some));
    section.set("images", &mut target.has_images, |value| value.boolean().map(Some));
    section.set("reasoning", &mut target.has_reasoning, |value| value.boolean().map(Some));
    section.set("structured_output", &mut target.has_structured_output, |value| value.boolean().map(Some));
    section.set("efforts", &mut target.efforts, |value| {
        value.list(|value| from_value::<ReasoningEffort>(Json::String(value.text()?)).ok())
    });
}

/// The keys that hold for the whole daemon, and profiles; they may stand in the file only.
pub(crate) fn of_the_file<'a>(section: &mut Section<'a>, draft: &mut Draft<'a>) -> Vec<(&'a str, Value<'a>)> {
    section.within("daemon", |section| daemon(section, &mut draft.settings.daemon));
    section.set("notify", &mut draft.settings.notify, notify);
    section.set("hooks", &mut draft.settings.hooks, hooks::read);
    // What stands in it is for screens; they read it, and say what is wrong in it.
    let _of_screens = section.get("tui");
    section.within("sandbox", |section| {
        section.set("backend", &mut draft.settings.sandbox_backend, |value| {
            value.word(&[
                ("auto", None),
                ("namespaces", Some(SandboxRung::Namespaces)),
                ("bwrap", Some(SandboxRung::Bubblewrap)),
                ("landlock", Some(SandboxRung::Landlock)),
            ])
        });
    });
    draft.permissions.described = permissions::read(&section.entries("permissions"));
    section.entries("profiles")
}

/// Warns of keys that an override can't set.
pub(crate) fn refuse_those_of_the_file(section: &mut Section<'_>) {
    for key in ["daemon", "sandbox", "notify", "hooks", "permissions", "profiles", "tui"] {
        if let Some(value) = section.get(key) {
            let message = format!("`{key}` can be set in `config.toml` only and is ignored here");
            value.place().warn(message, None);
        }
    }
}

fn approval_policy(value: &Value<'_>) -> Option<ApprovalPolicy> {
    if value.any_text()? == "on-failure" {
        let message = "`on-failure` is no longer a policy of its own; `on-request` is used".to_owned();
        value.place().warn(message, Some(ApprovalPolicy::OnRequest.as_str().to_owned()));
        return Some(ApprovalPolicy::OnRequest);
    }
    let policies = [ApprovalPolicy::Untrusted, ApprovalPolicy::OnRequest, ApprovalPolicy::Never];
    value.word(&policies.map(|policy| (policy.as_str(), policy)))
}

fn workspace_write(section: &mut Section<'_>, target: &mut WorkspaceWrite) {
    section.set("writable_roots", &mut target.writable_roots, |value| value.list(Value::path));
    section.set("network_access", &mut target.network_access, Value::boolean);
    section.set("exclude_slash_tmp", &mut target.exclude_slash_tmp, Value::boolean);
    section.set("exclude_tmpdir_env_var", &mut target.exclude_tmpdir_env_var, Value::boolean);
}

fn limits(section: &mut Section<'_>, target: &mut TurnLimits) {
    section.set("deadline", &mut target.deadline_ms, |value| value.duration().map(Some));
    ceilings(section, target);
}

/// `[budget.session]`, `[budget.tree]` (a session with its agents), `[budget.day]` (all sessions, in UTC) and
/// `[budget.provider.<id>]` (all sessions, a day, as far as they ask that provider).
fn budget(section: &mut Section<'_>, target: &mut Budget) {
    section.within("session", |section| ceilings(section, &mut target.session));
    section.within("tree", |section| ceilings(section, &mut target.tree));
    section.within("day", |section| ceilings(section, &mut target.day));
    for (id, value) in section.entries("provider") {
        if let Some(mut section) = value.section() {
            ceilings(&mut section, target.providers.entry(id.to_owned()).or_default());
            section.finish();
        }
    }
}

/// What a tree may hold at most is a session each, with a model's stream.
fn agents(section: &mut Section<'_>, target: &mut AgentLimits) {
    section.set("max_depth", &mut target.max_depth, |value| value.whole(0..=8));
    section.set("max_live", &mut target.max_live, |value| value.whole(0..=64));
}

/// The same at each level. `max_time` is time that turns work: from the start of a turn to its end, less what it waits
/// for an answer or for a daemon. Sessions that work at the same time count each, as they do with tokens. A turn's
/// `deadline` is time by the clock, whatever it waits for.
fn ceilings(section: &mut Section<'_>, target: &mut TurnLimits) {
    section.set("max_tokens", &mut target.max_tokens, |value| value.whole(1..=u64::MAX).map(Some));
    section.set("max_cost", &mut target.max_cost, |value| value.number().map(Some));
    section.set("max_time", &mut target.max_time_ms, |value| value.duration().map(Some));
    section.set("max_tool_calls", &mut target.max_tool_calls, |value| value.whole(0..=u32::MAX).map(Some));
}

fn shell_environment_policy(section: &mut Section<'_>, target: &mut EnvironmentPolicy) {
    section.set("inherit", &mut target.inherit, |value| {
        value.word(&[("none", Inherited::None), ("core", Inherited::Core), ("all", Inherited::All)])
    });
    section.set("include_only", &mut target.include_only, |value| value.list(Value::text));
    section.set("exclude", &mut target.exclude, |value| value.list(Value::text));
}

fn model_provider(section: &mut Section<'_>, target: &mut ModelProvider) {
    section.set("name", &mut target.name, Value::text);
    section.set("base_url", &mut target.base_url, base_url);
    if let Some(variable) = section.get("env_key").and_then(|value| value.text()) {
        // Who names a variable means that one.
        target.env_key = Some(variable);
        target.preferred_env_key = None;
    }
    section.set("wire_api", &mut target.wire_api, wire_api);
    section.set("auth", &mut target.auth, |value| auth(value).map(Some));
    section.within("oauth", |section| {
        let server = target.oauth.get_or_insert_default();
        section.set("issuer", &mut server.issuer, base_url);
        section.set("client_id", &mut server.client_id, Value::text);
    });
    section.set("script", &mut target.script, |value| value.path().map(Some));
    section.set("http_headers", &mut target.http_headers, Value::texts);
    section.set("env_http_headers", &mut target.env_http_headers, Value::texts);
    section.set("query_params", &mut target.query_params, Value::texts);
    section.set("request_max_retries", &mut target.request_max_retries, |value| value.capped(MAX_RETRIES));
    section.set("stream_max_retries", &mut target.stream_max_retries, |value| value.capped(MAX_RETRIES));
    section.set("stream_idle_timeout_ms", &mut target.stream_idle_timeout_ms, Value::duration);
    section.set("connect_timeout_ms", &mut target.connect_timeout_ms, Value::duration);
    section.set("ca_bundle", &mut target.ca_bundle, |value| value.path().map(Some));
    section.set("client_certificate", &mut target.client_certificate, |value| value.path().map(Some));
    section.set("proxy", &mut target.proxy, |value| value.text().map(Some));
    section.set("supports_websockets", &mut target.supports_websockets, Value::boolean);
    section.set("supports_compaction", &mut target.supports_compaction, |value| value.boolean().map(Some));
    section
        .set("max_output_tokens", &mut target.max_output_tokens, |value| value.whole(1..=u32::MAX).map(Some));
    section.set("verbosity", &mut target.verbosity, verbosity);
    section.set("service_tier", &mut target.service_tier, |value| value.text().map(Some));
    section.set("store", &mut target.store, Value::boolean);
    section.set("parallel_tool_calls", &mut target.parallel_tool_calls, Value::boolean);
}

fn verbosity(value: &Value<'_>) -> Option<Option<String>> {
    open_word::<String>(value, &["low", "medium", "high"]).map(Some)
}

fn daemon(section: &mut Section<'_>, target: &mut DaemonSettings) {
    section.set("idle_exit", &mut target.idle_exit_ms, duration_or_never);
    section.set("log_level", &mut target.log_level, |value| {
        let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
        value.word(&levels.map(|level| (level.as_str(), level)))
    });
    section.set("durability", &mut target.durability, |value| {
        value.word(&[("process", Durability::Process), ("power", Durability::Power)])
    });
}

fn duration_or_never(value: &Value<'_>) -> Option<Option<u64>> {
    if value.is_text("never") { Some(None) } else { value.duration().map(Some) }
}

/// A program and its arguments. The program is looked up in `PATH`, or its place is known wherever the daemon is.
fn notify(value: &Value<'_>) -> Option<Vec<String>> {
    let argv = value.list(Value::text)?;
    match argv.first() {
        None => value.refuse("must name a program", None),
        Some(program) if program.contains('/') && !Path::new(program).is_absolute() => value
            .refuse(&format!("must name a program in `PATH` or an absolute path, but is `{program}`"), None),
        Some(_) => Some(argv),
    }
}

fn base_url(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if text.starts_with("https://") || text.starts_with("http://") {
        return Some(text.trim_end_matches('/').to_owned());
    }
    value.refuse(&format!("must begin with `https://` or `http://`, but is `{text}`"), None)
}

/// A program that prints the key, and how it is run.
fn auth(value: &Value<'_>) -> Option<AuthCommand> {
    let mut section = value.section()?;
    let command = section.get("command");
    let mut auth = AuthCommand::new(command.as_ref().and_then(Value::text).unwrap_or_default());
    section.set("args", &mut auth.arguments, |value| value.list(|value| value.any_text().map(str::to_owned)));
    section.set("timeout_ms", &mut auth.timeout_ms, Value::duration);
    section.set("refresh_interval_ms", &mut auth.refresh_ms, duration_or_never);
    section.finish();
    if command.is_none() {
        return value.refuse("has no `command`", None);
    }
    if auth.program.contains('/') && !Path::new(&auth.program).is_absolute() {
        let message = format!("must name a program in `PATH` or an absolute path, but is `{}`", auth.program);
        return command?.refuse(&message, None);
    }
    (!auth.program.is_empty()).then_some(auth)
}

fn wire_api(value: &Value<'_>) -> Option<WireApi> {
    let word = value.any_text()?;
    if let Some((_, ours)) = OTHER_WORDS.iter().find(|(other, _)| *other == word) {
        let message = format!("is `{word}`, which is called `{ours}` here; write `wire_api = \"{ours}\"`");
        return value.refuse(&message, Some((*ours).to_owned()));
    }
    if SERVERS.contains(&word) {
        let message = format!(
            "is `{word}`, which is a provider here and no wire API; write `model_provider = \"{word}\"`, or \
             `wire_api = \"chat\"` for another server that speaks as it does"
        );
        return value.refuse(&message, None);
    }
    value.word(&[
        ("responses", WireApi::Responses),
        ("chat", WireApi::ChatCompletions),
        ("messages", WireApi::Messages),
        ("gemini", WireApi::Gemini),
        ("replay", WireApi::Replay),
    ])
}

/// A word of which providers may have more than we know: another one is passed on, with a warning if it looks
/// like a slip.
fn open_word<T: serde::de::DeserializeOwned>(value: &Value<'_>, known: &[&str]) -> Option<T> {
    let word = value.text()?;
    if !known.contains(&word.as_str())
        && let Some(meant) = nearest(&word, known.iter().copied())
    {
        let message = format!("`{word}` is not a word that is known here; the provider gets it as it is");
        value.place().warn(message, Some(meant));
    }
    from_value(Json::String(word)).ok()
}
