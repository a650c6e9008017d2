//! What can be chosen from lists, and what is said of it. Knows nothing of how it is chosen.

use std::collections::HashMap;

use protocol::account::{Account, Credential};
use protocol::agent::AgentNode;
use protocol::catalogue::{ModelFacts, ModelListResult, ProviderState};
use protocol::ids::{Seq, SessionId, Timestamp};
use protocol::item::{Item, ItemBody};
use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::session::{SessionSettings, SessionSnapshot, SessionStatus, SessionSummary};
use protocol::skill::{Skill, SkillSource, SkillState};
use view::{effort_text, escape, words};

use crate::list::Row;
use crate::picker::{Pick, Picked};

/// Agents below agents are not shown further to the right than so often.
const DEEPEST: usize = 8;
/// Letters of a command in a list.
const TITLE_LETTERS: usize = 120;

/// A name, what it means, what commands may touch, and when a person is asked.
pub(crate) const PERMISSIONS: [(&str, &str, Reach, ApprovalPolicy); 5] = [
    (
        "look",
        "reads, and asks before everything else",
        Reach::Mode(SandboxMode::ReadOnly),
        ApprovalPolicy::Untrusted,
    ),
    (
        "work",
        "works in this folder, and asks to leave it",
        Reach::Mode(SandboxMode::WorkspaceWrite),
        ApprovalPolicy::OnRequest,
    ),
    (
        "strict",
        "works in this folder, but changes no file that runs later; asks to leave it",
        Reach::Permissions("strict"),
        ApprovalPolicy::OnRequest,
    ),
    (
        "alone",
        "works in this folder, and never asks; what would need an answer is refused",
        Reach::Mode(SandboxMode::WorkspaceWrite),
        ApprovalPolicy::Never,
    ),
    (
        "danger",
        "everything, without a sandbox and without asking",
        Reach::Mode(SandboxMode::DangerFullAccess),
        ApprovalPolicy::Never,
    ),
];

/// What commands may touch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reach {
    /// What a mode of the sandbox allows.
    Mode(SandboxMode),
    /// What the permissions of this name allow.
    Permissions(&'static str),
}

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
    let own = settings.map(|settings| (settings.provider.clone(), settings.model.clone()));
    if let Some((provider, model)) = &own
        && !usable.iter().any(|(_, (_, listed))| *listed == own)
    {
        // Not every provider lists its models, nor all of them.
        let row = Row::new(&**model, format!("now · {provider}"));
        usable.insert(0, (false, (row, own)));
    }
    usable.sort_by_key(|(is_other, _)| *is_other);
    usable.into_iter().map(|(_, row)| row).chain(others).collect()
}

/// Whom one can sign in with, or have a key of.
pub(crate) fn account_row(account: &Account) -> Row {
    let way = if account.has_sign_in { "signs in, in a browser" } else { "stores a key" };
    let now = match &account.credential {
        None => "",
        Some(Credential::Environment { variable }) => &format!("now the key in {variable} · "),
        Some(Credential::Command { program }) => &format!("now the key that {program} prints · "),
        Some(Credential::Stored { .. }) => "now a stored key · ",
        Some(Credential::SignedIn { email: Some(email), .. }) => &format!("now {email} · "),
        Some(Credential::SignedIn { .. } | Credential::Unknown(_)) => "now signed in · ",
    };
    Row::new(&*account.name, format!("{now}{way} · {}", account.provider))
}

/// A skill; one that can't be used can't be chosen.
pub(crate) fn skill_row(skill: &Skill) -> Pick {
    let source = match &skill.source {
        SkillSource::User => "your own",
        SkillSource::Agents => "your own, of ~/.agents",
        SkillSource::Codex => "your own, of Codex",
        SkillSource::Claude => "your own, of Claude Code",
        SkillSource::Folder => "this folder's",
        SkillSource::Unknown(source) => source,
    };
    let state = match &skill.state {
        SkillState::On => "",
        SkillState::ByName => "only by name · ",
        SkillState::Disabled => "switched off · ",
        SkillState::Untrusted => "not trusted: /trust · ",
        SkillState::Changed => "changed since it was trusted: /trust · ",
        SkillState::Shadowed => "another one of this name goes before it · ",
        SkillState::Unknown(state) => &format!("{state} · "),
    };
    let tokens = words::thousands(skill.body_tokens);
    let row = Row::new(
        format!("${}", skill.name),
        format!("{state}{} · {source} · {tokens} tokens", skill.description),
    );
    // By its name, another one is read that goes before it.
    let is_read = skill.state != SkillState::Shadowed;
    (row, is_read.then(|| Picked::SkillText(skill.name.clone())))
}

/// A session of a tree of agents; `own` is the one that is shown.
pub(crate) fn agent_row(node: &AgentNode, own: Option<SessionId>) -> Pick {
    let summary = &node.summary;
    let (depth, name) = match &summary.agent {
        Some(agent) => (usize::try_from(agent.depth).unwrap_or(usize::MAX), agent.name.clone()),
        None => (0, summary.title.clone().unwrap_or_else(|| "the session itself".to_owned())),
    };
    let branch = if depth > 0 { "└ " } else { "" };
    let label = format!("{}{branch}{}", "  ".repeat(depth.saturating_sub(1).min(DEEPEST)), name);
    let here = if Some(summary.id) == own { "here · " } else { "" };
    let effort = summary.settings.reasoning_effort.as_ref().map_or("default", effort_text);
    let tokens = summary.usage.total_tokens();
    // What another model cost before, of which a price is known, is told.
    let is_unpriced = summary.settings.price.is_none() && node.cost == 0.0 && tokens > 0;
    let cost = if is_unpriced { "price not known".to_owned() } else { format!("${:.2}", node.cost) };
    let mut detail = format!(
        "{here}{} · {} · {effort} · {} tokens · {cost}",
        words::agent_status(&node.status),
        summary.settings.model,
        words::thousands(tokens),
    );
    if let Some(message) = &node.message {
        detail.push_str(&format!(" · {message}"));
    }
    (Row::new(label, detail), Some(Picked::Session(summary.id)))
}

/// The commands that printed more than their items have, the newest first.
pub(crate) fn output_rows(snapshot: &SessionSnapshot) -> Vec<Pick> {
    let items = snapshot.turns.iter().flat_map(|turn| &turn.items);
    let row = |item: &Item| {
        let ItemBody::Command(command) = &item.body else { return None };
        let outcome = command.outcome.as_ref()?;
        let blob = outcome.output.blob.clone()?;
        let title = escape::short_line(command.command.trim(), TITLE_LETTERS);
        let exit = words::exit(&outcome.exit).map(|exit| format!(" · {exit}")).unwrap_or_default();
        let row = Row::new(&*title, format!("{} bytes{exit}", words::thousands(outcome.output.total_bytes)));
        Some((row, Some(Picked::Output(blob, title))))
    };
    let mut rows: Vec<Pick> = items.filter_map(row).collect();
    rows.reverse();
    rows
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

#[cfg(test)]
mod tests {
    use protocol::agent::AgentStatus;
    use protocol::session::ModelPrice;

    use super::*;
    use crate::frame::tests::session;

    #[test]
    fn what_an_agent_cost_is_not_told_where_nobody_knows() {
        let row = |price: Option<ModelPrice>, tokens, cost| {
            let mut summary = session("x").summary;
            summary.settings.price = price;
            summary.usage.input_tokens = tokens;
            let node = AgentNode { summary, status: AgentStatus::Completed, message: None, cost };
            agent_row(&node, None).0.detail
        };
        let free: Option<ModelPrice> =
            serde_json::from_str(r#"{"input": 0, "cachedInput": 0, "output": 0}"#).ok();
        assert!(free.is_some());
        assert!(row(None, 7, 0.0).ends_with(" · 7 tokens · price not known"), "{}", row(None, 7, 0.0));
        assert!(row(free, 7, 0.0).ends_with(" · $0.00"));
        assert!(row(None, 7, 0.5).ends_with(" · $0.50"), "the model before had a price");
        assert!(row(None, 0, 0.0).ends_with(" · $0.00"), "nothing was spent");
    }
}
