//! What can be chosen from lists, and what is said of it. Knows nothing of how it is chosen.

use std::collections::HashMap;

use protocol::catalogue::{ModelFacts, ModelListResult, ProviderState};
use protocol::ids::{Seq, SessionId, Timestamp};
use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::session::{SessionSettings, SessionStatus, SessionSummary};
use view::words;

use crate::list::Row;

pub(crate) const PERMISSIONS: [(&str, &str, SandboxMode, ApprovalPolicy); 4] = [
    ("look", "reads, and asks before everything else", SandboxMode::ReadOnly, ApprovalPolicy::Untrusted),
    (
        "work",
        "works in this folder, and asks to leave it",
        SandboxMode::WorkspaceWrite,
        ApprovalPolicy::OnRequest,
    ),
    (
        "alone",
        "works in this folder, and never asks; what would need an answer is refused",
        SandboxMode::WorkspaceWrite,
        ApprovalPolicy::Never,
    ),
    (
        "danger",
        "everything, without a sandbox and without asking",
        SandboxMode::DangerFullAccess,
        ApprovalPolicy::Never,
    ),
];

/// What a sandbox mode means.
pub(crate) fn sandbox_meaning(mode: SandboxMode) -> &'static str {
    match mode {
        SandboxMode::ReadOnly => "everything may be read, nothing written, no network",
        SandboxMode::WorkspaceWrite => "this folder may be written; no network unless allowed",
        SandboxMode::DangerFullAccess => "no sandbox at all",
    }
}

/// What an approval policy means.
pub(crate) fn approval_meaning(policy: ApprovalPolicy) -> &'static str {
    match policy {
        ApprovalPolicy::Untrusted => {
            "before every command that is not known to be harmless, and every change"
        }
        ApprovalPolicy::OnRequest => "when the agent wants to leave the sandbox",
        ApprovalPolicy::Never => "never; what would need an answer is refused",
    }
}

/// A session; `own` is the one that is shown already. What happened in another one since it was `seen` is marked.
pub(crate) fn session_row(
    session: &SessionSummary,
    own: Option<SessionId>,
    seen: &HashMap<SessionId, Seq>,
    now: Timestamp,
) -> Row {
    let is_own = Some(session.id) == own;
    let is_new = !is_own && seen.get(&session.id).is_some_and(|seen| *seen < session.seq);
    let title = session.title.clone().unwrap_or_else(|| session.id.to_string());
    let title = if is_new { format!("● {title}") } else { title };
    let state = match &session.status {
        SessionStatus::Idle => "idle",
        SessionStatus::Running { .. } => "running",
        SessionStatus::Waiting { .. } => "waits for an answer",
        SessionStatus::Archived => "archived",
        SessionStatus::Damaged { .. } => "damaged",
        SessionStatus::Unknown(_) => "?",
    };
    let here = if is_own { "here · " } else { "" };
    let age = words::span(now.since(session.updated_at));
    let settings = &session.settings;
    let cwd = settings.cwd.to_string_lossy();
    Row::new(
        title,
        format!("{here}{state} · {age} ago · {} turns · {} · {cwd}", session.turn_count, settings.model),
    )
}

/// The models of providers that can be used, each with its provider, those of the session's own first; then the other
/// providers, of which none can be chosen, with what they lack.
pub(crate) fn model_rows(
    listed: ModelListResult,
    settings: Option<&SessionSettings>,
) -> Vec<(Row, Option<(String, String)>)> {
    let (mut usable, mut others) = (Vec::new(), Vec::new());
    for provider in listed.providers {
        let lack = match provider.state {
            ProviderState::Ready { .. } | ProviderState::Unknown(_) => None,
            ProviderState::NoCredential { .. } => Some(format!("`/login {}` comes first", provider.id)),
            ProviderState::NotRunning { hint, .. } => Some(hint),
            ProviderState::Failed { message } => Some(message),
        };
        if let Some(lack) = lack {
            others.push((Row::new(provider.name, lack), None));
            continue;
        }
        let is_own = |model: &str| {
            settings.is_some_and(|settings| settings.model == model && settings.provider == provider.id)
        };
        for model in provider.models {
            let now = if is_own(&model.name) { "now · " } else { "" };
            let is_of_provider = settings.is_some_and(|settings| settings.provider == provider.id);
            let detail = format!("{now}{}{}", provider.id, facts(&model.facts));
            let row = Row::new(model.name.clone(), detail);
            usable.push((!is_of_provider, (row, Some((provider.id.clone(), model.name)))));
        }
    }
    usable.sort_by_key(|(is_other, _)| *is_other);
    usable.into_iter().map(|(_, row)| row).chain(others).collect()
}

fn facts(facts: &ModelFacts) -> String {
    let mut text = String::new();
    if let Some(tokens) = facts.context_window {
        text.push_str(&format!(" · {} tokens", words::thousands(tokens)));
    }
    if let Some(price) = &facts.price {
        text.push_str(&format!(" · ${} in, ${} out a million", price.input, price.output));
    }
    text
}
