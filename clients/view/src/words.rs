//! The words in which people are told of turns, failures, money and time; the same that the command line uses.
//! Knows nothing of screens.

use std::path::Path;

use protocol::agent::{AgentReport, AgentStatus};
use protocol::context::{Compaction, CompactionReason};
use protocol::daemon::RateLimit;
use protocol::event::{ModelRetried, TurnEnded};
use protocol::ids::Timestamp;
use protocol::item::{ChangeKind, ChangedFile, CommandExit, ItemStatus};
use protocol::model::{ProviderFailure, ProviderFailureKind, Usage};
use protocol::question::{Decision, GrantScope, QuestionKind};
use protocol::rewind::SessionRewound;
use protocol::turn::{BudgetLevel, InterruptReason, LimitKind, TurnFailure, TurnOutcome};
use protocol::usage::CeilingUse;
use protocol::web::{WebSearch, WebSource};

use crate::escape;

/// How a turn ended, if there is more to say than that it did; not escaped.
#[must_use]
pub fn ending(outcome: &TurnOutcome) -> Option<String> {
    match outcome {
        TurnOutcome::Completed => None,
        TurnOutcome::Failed { failure } => Some(failed(failure)),
        TurnOutcome::Interrupted { reason, actor } => {
            let by = actor.as_ref().map(|actor| format!(" by `{}`", actor.name)).unwrap_or_default();
            Some(match reason {
                InterruptReason::Requested => format!("Interrupted{by}"),
                InterruptReason::Unanswered => "A question waited and nobody could answer it".to_owned(),
                InterruptReason::DaemonStopped => {
                    "The daemon stopped in the middle of the turn; what was done stays".to_owned()
                }
                InterruptReason::Unknown(reason) => format!("Interrupted{by}: {reason}"),
            })
        }
        TurnOutcome::LimitReached { message, .. } => Some(message.clone()),
        TurnOutcome::Unknown(value) => {
            Some(format!("The turn ended in a way that is not known here: {value}"))
        }
    }
}

/// What was searched in the web; not escaped.
#[must_use]
pub fn web_search(search: &WebSearch) -> String {
    let what = match (&search.page, search.queries.as_slice()) {
        (Some(page), []) => format!("The provider read {page}"),
        (Some(page), queries) => format!("The provider looked for {} in {page}", queries.join(", ")),
        (None, []) => "The provider searched the web".to_owned(),
        (None, queries) => format!("The provider searched the web for {}", queries.join(", ")),
    };
    match (&search.message, search.sources.len()) {
        (Some(message), _) => format!("{what}: {message}"),
        (None, 0) => what,
        (None, 1) => format!("{what}: 1 source"),
        (None, count) => format!("{what}: {count} sources"),
    }
}

/// A page that a search found; not escaped.
#[must_use]
pub fn web_source(source: &WebSource) -> String {
    match &source.title {
        Some(title) => format!("{title} {}", source.url),
        None => source.url.clone(),
    }
}

/// What an agent came to, or waits for; not escaped.
#[must_use]
pub fn agent(report: &AgentReport) -> String {
    let how = agent_status(&report.status);
    match &report.message {
        Some(message) => {
            let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("Agent {}: {how}: {line}", report.name)
        }
        None => format!("Agent {}: {how}", report.name),
    }
}

/// What an agent is doing, or how it ended; not escaped.
#[must_use]
pub fn agent_status(status: &AgentStatus) -> &str {
    match status {
        AgentStatus::Running => "running",
        AgentStatus::Waiting => "waits for an answer",
        AgentStatus::Completed => "completed",
        AgentStatus::Failed => "failed",
        AgentStatus::Interrupted => "interrupted",
        AgentStatus::LimitReached => "stopped by a ceiling",
        AgentStatus::Closed => "closed",
        AgentStatus::Unknown(status) => status,
    }
}

/// What a compaction is, or was; not escaped.
#[must_use]
pub fn compaction(compaction: &Compaction, status: &ItemStatus) -> String {
    let why = match &compaction.reason {
        CompactionReason::Full => {
            let size = compaction.tokens_before.map(|tokens| format!(" of about {tokens} tokens"));
            format!("a request{} would not fit", size.unwrap_or_default())
        }
        CompactionReason::Refused => "the provider found the request too long".to_owned(),
        CompactionReason::Requested => "it was asked for".to_owned(),
        CompactionReason::Unknown(reason) => reason.clone(),
    };
    match (status, &compaction.message) {
        (ItemStatus::InProgress, _) => format!("Compacting what was said and done before: {why}"),
        (ItemStatus::Completed, _) if !compaction.opaque.is_empty() => format!(
            "Compacted what was said and done before, because {why}. The provider keeps the notes to itself; what people \
             said, the plan, changed files and failing checks are carried as they were"
        ),
        (ItemStatus::Completed, _) => format!(
            "Compacted what was said and done before, because {why}. The model goes on with a summary; what people \
             said, the plan, changed files and failing checks are carried as they were"
        ),
        (_, Some(message)) => format!("Not compacted: {message}"),
        (_, None) => "Not compacted".to_owned(),
    }
}

/// What a provider still lets be asked of it, as of a time; not escaped.
#[must_use]
pub fn rate_limit(limit: &RateLimit, now: Timestamp) -> String {
    let amount = match (limit.remaining, limit.limit, limit.used_percent) {
        (Some(left), Some(all), _) => format!("{} of {} left", thousands(left), thousands(all)),
        (Some(left), None, _) => format!("{} left", thousands(left)),
        (None, _, Some(used)) => format!("{used:.0} % used"),
        (None, _, None) => "not told".to_owned(),
    };
    let resets_at = limit.resets_at.filter(|at| at.0 > now.0);
    let whole = resets_at.map(|at| format!(", whole again in {}", span(at.since(now)))).unwrap_or_default();
    format!("{}: {amount}{whole}", limit.name)
}

/// What to do about an end, if something can be done.
#[must_use]
pub fn ending_hint(outcome: &TurnOutcome) -> Option<String> {
    let failure = match outcome {
        TurnOutcome::Failed { failure } => failure,
        TurnOutcome::LimitReached { limit, level, .. } => return ceiling_hint(limit, level),
        TurnOutcome::Completed | TurnOutcome::Interrupted { .. } | TurnOutcome::Unknown(_) => return None,
    };
    match failure {
        TurnFailure::Provider(failure) => match failure.kind {
            ProviderFailureKind::Unreachable => Some(format!(
                "Is the server up, and is `base_url` of `model_providers.{}` right? See `skein config path`",
                failure.provider
            )),
            ProviderFailureKind::Unauthorized => Some(format!(
                "Set the key in the variable that `env_key` of `model_providers.{}` names",
                failure.provider
            )),
            ProviderFailureKind::ContextTooLong => {
                Some("Start a new session, or take a model with a longer context".to_owned())
            }
            ProviderFailureKind::RateLimited
            | ProviderFailureKind::Rejected
            | ProviderFailureKind::Failed
            | ProviderFailureKind::Cut
            | ProviderFailureKind::Stalled
            | ProviderFailureKind::Blocked
            | ProviderFailureKind::Malformed
            | ProviderFailureKind::Unknown(_) => None,
        },
        TurnFailure::Internal { .. } => Some("See `skein daemon logs`".to_owned()),
        TurnFailure::ModelStopped { .. }
        | TurnFailure::Loop { .. }
        | TurnFailure::Hook { .. }
        | TurnFailure::Storage { .. }
        | TurnFailure::Unknown(_) => None,
    }
}

/// What to do about a ceiling that is reached. A session keeps the ceilings that it began with, whatever becomes of the
/// file; they change by an override.
fn ceiling_hint(limit: &LimitKind, level: &BudgetLevel) -> Option<String> {
    let (table, or) = match level {
        BudgetLevel::Turn => return Some("The next turn may take as much again: say \"go on\"".to_owned()),
        BudgetLevel::Session => ("session", "a new session begins at nothing"),
        BudgetLevel::Tree => ("tree", "a new session begins at nothing"),
        BudgetLevel::Day => ("day", "a new day begins at midnight UTC"),
        BudgetLevel::Provider => ("provider.NAME", "go on with a model of another provider"),
        BudgetLevel::Unknown(_) => return None,
    };
    let key = match limit {
        LimitKind::Tokens => "max_tokens=N",
        LimitKind::Cost => "max_cost=N",
        LimitKind::ToolCalls => "max_tool_calls=N",
        LimitKind::Time => "max_time=TIME",
        // Only turns have one.
        LimitKind::Deadline | LimitKind::Unknown(_) => return None,
    };
    Some(format!("Raise it with `skein exec resume --last -c budget.{table}.{key} \"go on\"`; or {or}"))
}

/// Whether a yes for good can be given: a rule stands ready to be written.
#[must_use]
pub fn offers_always(kind: &QuestionKind) -> bool {
    matches!(kind, QuestionKind::Command { proposed_rule: Some(_), .. })
}

fn failed(failure: &TurnFailure) -> String {
    match failure {
        TurnFailure::Provider(failure) => provider(failure),
        TurnFailure::ModelStopped { reason } => format!("The model stopped early: {reason}"),
        TurnFailure::Loop { repetitions, tool } => {
            format!("The model made the same call of `{tool}` {repetitions} times in a row")
        }
        TurnFailure::Hook { reason } => format!("A hook ended the turn: {reason}"),
        TurnFailure::Storage { message } => format!("The session's log can't be written: {message}"),
        TurnFailure::Internal { message } => message.clone(),
        TurnFailure::Unknown(value) => {
            format!("The turn failed in a way that is not known here: {value}")
        }
    }
}

/// A failure of a provider: who, with which status, in which words; not escaped.
#[must_use]
pub fn provider(failure: &ProviderFailure) -> String {
    let ProviderFailure { provider, kind, status, message } = failure;
    let (what, is_sentence) = match kind {
        // Where no answer came, the daemon says what happened, in a sentence of its own.
        ProviderFailureKind::Unreachable => ("can't be reached", true),
        ProviderFailureKind::Unauthorized => ("does not accept the key", true),
        ProviderFailureKind::Cut => ("ended its answer in the middle", true),
        ProviderFailureKind::Stalled => ("fell silent", true),
        ProviderFailureKind::Blocked => ("refused for reasons of safety", false),
        ProviderFailureKind::Malformed => ("sent an answer that can't be read", true),
        ProviderFailureKind::RateLimited => ("takes no more requests now", false),
        ProviderFailureKind::Rejected => ("refused the request", false),
        ProviderFailureKind::ContextTooLong => ("can't take a request this long", false),
        ProviderFailureKind::Failed => ("failed", false),
        ProviderFailureKind::Unknown(kind) => (kind.as_str(), false),
    };
    let message = message.trim();
    match status {
        _ if message.is_empty() => format!("The provider `{provider}` {what}"),
        Some(status) => format!("The provider `{provider}` {what} (HTTP {status}): {message}"),
        None if is_sentence => format!("{message} (provider `{provider}`)"),
        None => format!("The provider `{provider}` {what}: {message}"),
    }
}

/// That a provider failed and is asked again; not escaped.
#[must_use]
pub fn retry(retried: &ModelRetried) -> String {
    let ModelRetried { attempt, max_attempts, delay_ms, failure, .. } = retried;
    format!("{}; retry {attempt} of {max_attempts} in {}", provider(failure), span(*delay_ms))
}

/// What is asked, as a headline; nothing in it comes from the model.
#[must_use]
pub fn asked(kind: &QuestionKind) -> &'static str {
    match kind {
        QuestionKind::Command { is_escalated: true, refusals, .. } if !refusals.is_empty() => {
            "The sandbox stopped a command; may it run again outside the sandbox?"
        }
        QuestionKind::Command { is_escalated: true, .. } => {
            "The agent asks to run a command outside the sandbox"
        }
        QuestionKind::Command { is_escalated: false, .. } => "The agent asks to run a command",
        QuestionKind::FileChange { .. } => "The agent asks to change files",
        QuestionKind::Network { .. } => "A command wants to reach a host",
        QuestionKind::Permissions { .. } => "The agent asks for more permissions",
        QuestionKind::UserInput { .. } => "The agent asks you something",
        QuestionKind::Tool { .. } => "The agent asks to call a tool",
        QuestionKind::Elicitation { .. } => "An MCP server asks you something",
        QuestionKind::Sampling { .. } => "An MCP server wants the model to answer",
        QuestionKind::ClientTool { .. } => "The agent calls a tool of a client",
        QuestionKind::Unknown(_) => "The agent asks something that this client does not know",
    }
}

/// What was decided.
#[must_use]
pub fn decided(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow { scope } => match scope {
            GrantScope::Once => "allowed once",
            GrantScope::Turn => "allowed for this turn",
            GrantScope::Session => "allowed for this session",
            GrantScope::Always => "always allowed",
            GrantScope::Unknown(_) => "allowed",
        },
        Decision::Deny { .. } => "declined",
        Decision::Reply { .. } | Decision::Content { .. } => "answered",
        Decision::Unknown(_) => "decided in a way that is not known here",
    }
}

/// Why a command ended, if it did not end well by itself.
#[must_use]
pub fn exit(exit: &CommandExit) -> Option<String> {
    match exit {
        CommandExit::Code { code: 0 } => None,
        CommandExit::Code { code } => Some(format!("exit code {code}")),
        CommandExit::Signal { signal } => Some(format!("ended by signal {signal}")),
        CommandExit::TimedOut { after_ms } => Some(format!("ended after {}", span(*after_ms))),
        CommandExit::Interrupted => Some("interrupted".to_owned()),
        CommandExit::GoesOn => Some("goes on in the background".to_owned()),
        CommandExit::Unknown(exit) => Some(format!("ended: {exit}")),
    }
}

/// What happens to a file, with its path as seen from a folder; escaped.
#[must_use]
pub fn changed(file: &ChangedFile, cwd: &Path) -> String {
    let relative = |path: &Path| {
        let path = path.strip_prefix(cwd).unwrap_or(path);
        escape::line(&path.to_string_lossy()).into_owned()
    };
    let path = relative(&file.path);
    match (&file.kind, &file.moved_to) {
        (_, Some(to)) => format!("moved {path} → {}", relative(to)),
        (ChangeKind::Add, None) => format!("added {path}"),
        (ChangeKind::Delete, None) => format!("deleted {path}"),
        (ChangeKind::Update | ChangeKind::Unknown(_), None) => format!("edited {path}"),
    }
}

/// Time, tokens and money of a turn.
#[must_use]
pub fn spent(ended: &TurnEnded) -> String {
    let cost = ended.cost.map(|cost| format!(" · ${cost:.4}")).unwrap_or_default();
    // Nothing of an answer that broke off is told, and some providers never tell.
    let tokens =
        if ended.usage == Usage::default() { "no tokens told".to_owned() } else { tokens(&ended.usage) };
    format!("{} · {tokens}{cost}", span(ended.duration_ms))
}

/// Tokens in and out.
#[must_use]
pub fn tokens(usage: &Usage) -> String {
    let cached = match usage.cached_input_tokens {
        0 => String::new(),
        cached => format!(" ({} cached)", thousands(cached)),
    };
    format!("{} tokens in{cached}, {} out", thousands(usage.input_tokens), thousands(usage.output_tokens))
}

/// What was taken back, or brought back, such as `2 turns and 1 file taken back`.
#[must_use]
pub fn rewound(rewound: &SessionRewound) -> String {
    let turns = u32::try_from(rewound.turns.len()).unwrap_or(u32::MAX);
    let what = turns_and_files(turns, rewound.count);
    let done = if rewound.undoes.is_some() { "brought back" } else { "taken back" };
    let note = match (&rewound.undoes, rewound.scope.has_chat()) {
        (None, true) => "; the model does not see them any more",
        (None, false) => "; what was said stays",
        (Some(_), _) => "",
    };
    format!("{what} {done}{note}")
}

/// `2 turns and 1 file`.
#[must_use]
pub fn turns_and_files(turns: u32, files: u32) -> String {
    format!("{} and {}", count(turns, "turn", "turns"), count(files, "file", "files"))
}

/// `1 file was`, `2 files were`.
#[must_use]
pub fn count(number: u32, one: &str, several: &str) -> String {
    let word = if number == 1 { one } else { several };
    format!("{} {word}", thousands(u64::from(number)))
}

/// How much of a ceiling is spent, such as `63% of $5.00 a day`.
#[must_use]
pub fn ceiling(ceiling: &CeilingUse) -> String {
    let most = ceiling.allowed.max(0.0);
    let allowed = match &ceiling.limit {
        LimitKind::Cost => format!("${most:.2}"),
        LimitKind::Tokens => format!("{} tokens", thousands(whole(most))),
        LimitKind::ToolCalls => format!("{} calls", thousands(whole(most))),
        LimitKind::Deadline | LimitKind::Time => span(whole(most)),
        LimitKind::Unknown(limit) => format!("{most} {limit}"),
    };
    let whose = match &ceiling.level {
        BudgetLevel::Turn => "a turn".to_owned(),
        BudgetLevel::Session => "a session".to_owned(),
        BudgetLevel::Tree => "with agents".to_owned(),
        BudgetLevel::Day => "a day".to_owned(),
        BudgetLevel::Provider => {
            format!("a day of {}", ceiling.provider.as_deref().unwrap_or("the provider"))
        }
        BudgetLevel::Unknown(level) => level.clone(),
    };
    format!("{}% of {allowed} {whose}", whole(ceiling.share() * 100.0))
}

/// A number without what is behind its point.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
fn whole(number: f64) -> u64 {
    number.floor() as u64
}

/// `1,234,567`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `340 ms`, `2.4 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
#[must_use]
pub fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{seconds}.{} s", ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600_000..86_400_000 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use protocol::ids::ClientId;
    use protocol::turn::Actor;

    use super::*;

    #[test]
    fn a_provider_is_quoted_with_its_status() {
        let failure = |kind, status, message: &str| ProviderFailure {
            provider: "local".to_owned(),
            kind,
            status,
            message: message.to_owned(),
        };
        for (failure, text) in [
            (
                failure(ProviderFailureKind::Unauthorized, Some(401), "Incorrect API key\n"),
                "The provider `local` does not accept the key (HTTP 401): Incorrect API key",
            ),
            (
                failure(ProviderFailureKind::Stalled, None, "Local sent nothing"),
                "Local sent nothing (provider `local`)",
            ),
            (failure(ProviderFailureKind::Failed, None, "oops"), "The provider `local` failed: oops"),
            (
                failure(ProviderFailureKind::Cut, None, ""),
                "The provider `local` ended its answer in the middle",
            ),
        ] {
            assert_eq!(provider(&failure), text);
        }
    }

    #[test]
    fn an_end_names_who_brought_it_about() {
        let ended = |reason, name: Option<&str>| {
            let actor = name.map(|name| Actor { client_id: ClientId::generate(), name: name.to_owned() });
            ending(&TurnOutcome::Interrupted { reason, actor })
        };
        assert_eq!(ended(InterruptReason::Requested, Some("editor")).unwrap(), "Interrupted by `editor`");
        assert_eq!(ended(InterruptReason::Requested, None).unwrap(), "Interrupted");
        assert_eq!(ending(&TurnOutcome::Completed), None);
    }

    #[test]
    fn a_ceiling_that_is_reached_says_how_to_go_on() {
        let hint = |limit, level| {
            ending_hint(&TurnOutcome::LimitReached { limit, level, message: "x".to_owned() })
                .unwrap_or_default()
        };
        for (limit, level, part) in [
            (
                LimitKind::Cost,
                BudgetLevel::Session,
                "-c budget.session.max_cost=N \"go on\"`; or a new session",
            ),
            (LimitKind::Tokens, BudgetLevel::Tree, "-c budget.tree.max_tokens=N "),
            (
                LimitKind::ToolCalls,
                BudgetLevel::Day,
                "-c budget.day.max_tool_calls=N \"go on\"`; or a new day",
            ),
            (LimitKind::Time, BudgetLevel::Provider, "-c budget.provider.NAME.max_time=TIME "),
            (LimitKind::Deadline, BudgetLevel::Turn, "The next turn may take as much again"),
        ] {
            let said = hint(limit, level);
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(hint(LimitKind::Unknown("air".to_owned()), BudgetLevel::Day), "");
    }

    #[test]
    fn numbers_and_spans_are_short() {
        for (number, shown) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), shown);
        }
        for (ms, shown) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (2450, "2.4 s"),
            (185_000, "3 min 5 s"),
            (7_800_000, "2 h 10 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(span(ms), shown);
        }
    }

    #[test]
    fn a_compaction_of_the_provider_does_not_claim_a_summary() {
        let mut done: Compaction =
            serde_json::from_value(serde_json::json!({"reason": "requested", "summary": "It builds."}))
                .unwrap();
        assert!(compaction(&done, &ItemStatus::Completed).contains("goes on with a summary"));
        let opaque = serde_json::json!([{"wireApi": "responses", "item": {}}]);
        (done.summary, done.opaque) = (String::new(), serde_json::from_value(opaque).unwrap());
        let said = compaction(&done, &ItemStatus::Completed);
        assert!(said.contains("keeps the notes to itself") && !said.contains("summary"), "{said}");
    }

    #[test]
    fn changes_are_named_within_the_folder() {
        let file = |kind, moved_to: Option<&str>| ChangedFile {
            path: PathBuf::from("/repo/src/a.rs"),
            kind,
            moved_to: moved_to.map(PathBuf::from),
            diff: String::new(),
        };
        let cwd = Path::new("/repo");
        assert_eq!(changed(&file(ChangeKind::Add, None), cwd), "added src/a.rs");
        assert_eq!(changed(&file(ChangeKind::Update, Some("/tmp/b")), cwd), "moved src/a.rs → /tmp/b");
        assert_eq!(changed(&file(ChangeKind::Delete, None), Path::new("/x")), "deleted /repo/src/a.rs");
    }
}
