//! The keys of `config.toml`, and where their values go. The functions here are the list of what exists.
//! Knows nothing of files and layers.

use std::path::Path;

use protocol::model::{ReasoningEffort, ReasoningSummary};
use protocol::profile::{ApprovalPolicy, SandboxMode, SandboxRung};
use protocol::session::AfterCrash;
use protocol::turn::TurnLimits;
use serde_json::{Value as Json, from_value};

use crate::draft::Draft;
use crate::section::Section;
use crate::settings::{
    DaemonSettings, Durability, Inherit, LogLevel, MAX_RETRIES, ModelProvider, OPENAI,
    ShellEnvironmentPolicy, WireApi, WorkspaceWrite,
};
use crate::value::{Value, nearest};

/// Wire APIs that other programs know, and that are to come.
const FUTURE_WIRE_APIS: &[&str] = &["ollama", "lmstudio"];

/// The keys that hold for a session; they may stand at the top, in a profile and in an override.
pub(crate) fn session<'a>(section: &mut Section<'a>, draft: &mut Draft<'a>) {
    let settings = &mut draft.settings;
    section.set("model", &mut settings.model, |value| value.text().map(Some));
    if let Some(value) = section.get("model_provider")
        && let Some(id) = value.text()
    {
        settings.model_provider = id;
        draft.provider_place = Some(value.place().clone());
    }
    section.set("approval_policy", &mut settings.approval_policy, approval_policy);
    section.set("sandbox_mode", &mut settings.sandbox_mode, |value| {
        let modes = [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess];
        value.word(&modes.map(|mode| (mode.as_str(), mode)))
    });
    section.within("sandbox_workspace_write", |section| {
        workspace_write(section, &mut settings.sandbox_workspace_write);
    });
    section.set("model_reasoning_effort", &mut settings.model_reasoning_effort, |value| {
        open_word::<ReasoningEffort>(value, &["none", "minimal", "low", "medium", "high", "xhigh"]).map(Some)
    });
    section.set("model_reasoning_summary", &mut settings.model_reasoning_summary, |value| {
        open_word::<ReasoningSummary>(value, &["auto", "concise", "detailed", "none"]).map(Some)
    });
    section.within("limits", |section| limits(section, &mut settings.limits));
    section.set("after_crash", &mut settings.after_crash, |value| {
        value.word(&[("wait", AfterCrash::Wait), ("continue", AfterCrash::Continue)]).map(Some)
    });
    section.set("question_timeout", &mut settings.question_timeout_ms, duration_or_never);
    section.within("shell_environment_policy", |section| {
        shell_environment_policy(section, &mut settings.shell_environment_policy);
    });
    if let Some(provider) = settings.model_providers.get_mut(OPENAI) {
        section.set("openai_base_url", &mut provider.base_url, base_url);
    }
}

/// What can be looked up by name: providers and prices.
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
    for (model, value) in section.entries("model_prices") {
        if let Some(mut section) = value.section() {
            let price = draft.price(model, value.place());
            section.set("input", &mut price.input, |value| value.number().map(Some));
            section.set("cached_input", &mut price.cached_input, |value| value.number().map(Some));
            section.set("output", &mut price.output, |value| value.number().map(Some));
            section.finish();
        }
    }
}

/// The keys that hold for the whole daemon, and profiles; they may stand in the file only.
pub(crate) fn of_the_file<'a>(section: &mut Section<'a>, draft: &mut Draft<'a>) -> Vec<(&'a str, Value<'a>)> {
    section.within("daemon", |section| daemon(section, &mut draft.settings.daemon));
    section.set("notify", &mut draft.settings.notify, notify);
    section.within("sandbox", |section| {
        section.set("backend", &mut draft.settings.sandbox_backend, |value| {
            value.word(&[
                ("auto", None),
                ("namespaces", Some(SandboxRung::Namespaces)),
                ("landlock", Some(SandboxRung::Landlock)),
            ])
        });
    });
    section.entries("profiles")
}

/// Warns of keys that an override can't set.
pub(crate) fn refuse_those_of_the_file(section: &mut Section<'_>) {
    for key in ["daemon", "sandbox", "notify", "profiles"] {
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
    section.set("max_tokens", &mut target.max_tokens, |value| value.whole(1..=u64::MAX).map(Some));
    section.set("max_cost", &mut target.max_cost, |value| value.number().map(Some));
    section.set("max_tool_calls", &mut target.max_tool_calls, |value| value.whole(0..=u32::MAX).map(Some));
}

fn shell_environment_policy(section: &mut Section<'_>, target: &mut ShellEnvironmentPolicy) {
    section.set("inherit", &mut target.inherit, |value| {
        value.word(&[("none", Inherit::None), ("core", Inherit::Core), ("all", Inherit::All)])
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
    section.set("script", &mut target.script, |value| value.path().map(Some));
    section.set("http_headers", &mut target.http_headers, Value::texts);
    section.set("env_http_headers", &mut target.env_http_headers, Value::texts);
    section.set("query_params", &mut target.query_params, Value::texts);
    section.set("request_max_retries", &mut target.request_max_retries, |value| value.capped(MAX_RETRIES));
    section.set("stream_max_retries", &mut target.stream_max_retries, |value| value.capped(MAX_RETRIES));
    section.set("stream_idle_timeout_ms", &mut target.stream_idle_timeout_ms, Value::duration);
    section.set("connect_timeout_ms", &mut target.connect_timeout_ms, Value::duration);
    section.set("ca_bundle", &mut target.ca_bundle, |value| value.path().map(Some));
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

fn wire_api(value: &Value<'_>) -> Option<WireApi> {
    let word = value.any_text()?;
    if FUTURE_WIRE_APIS.contains(&word) {
        let message = format!("is `{word}`, which is not built yet in this version; it speaks `chat` too");
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
