//! What `/help`, `/keys`, `/status`, `/jobs`, `/hooks` and `/feedback` show, and tips. Knows nothing of when.

use protocol::daemon::RateLimit;
use protocol::hook::{HookListResult, HookOutcome};
use protocol::ids::{ClientId, SessionId, Timestamp};
use protocol::profile::SandboxMode;
use protocol::session::{BackgroundCommand, SessionStatus, SessionSummary};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use view::{Activity, Link, Status, escape, words};

use crate::command;
use crate::custom::CustomCommand;
use crate::keymap::{Action, Keymap};
use crate::status_line::Field;
use crate::theme::Theme;
use crate::wrap::{Break, width_of, wrap};

/// The row that says what commands may touch.
const SANDBOX: &str = "sandbox";
/// Letters of a hook's command.
const HOOK_LETTERS: usize = 120;
/// The keys that matter most, with what they do.
const KEYS: [(Keys, &str); 20] = [
    (Keys::Of(&[Action::Send], ""), "sends; while a turn runs, says it into the turn"),
    (
        Keys::Of(&[Action::Queue], ""),
        "while a turn runs, puts it into the queue; `/queue` takes it out again",
    ),
    (Keys::Both(Action::BreakLine), "breaks the line; not every terminal tells Shift+Enter from Enter"),
    (Keys::Of(&[Action::Stop, Action::Cancel], ""), "stops the turn"),
    (Keys::Of(&[Action::Stop], " twice"), "back to before a turn"),
    (Keys::Of(&[Action::Cancel], " twice"), "leaves, when nothing runs; throws away what is written first"),
    (Keys::Of(&[Action::DeleteOrLeave], ""), "leaves, when nothing is written; a turn goes on"),
    (Keys::Of(&[Action::Up, Action::SearchHistory], ""), "what was sent before; looks for something in it"),
    (Keys::Of(&[Action::NextMode], ""), "the next mode: plan, one of your own, none"),
    (
        Keys::Typed("! COMMAND"),
        "runs a command by hand, confined as the agent's are; what it prints goes along with what you say next",
    ),
    (Keys::Typed("!! COMMAND"), "the same with the terminal as its own, and the agent is not told"),
    (Keys::Typed("# LINE"), "adds a line to the project's instructions, or to your own"),
    (Keys::Typed("@"), "mentions a file, or what an MCP server has, by a few letters"),
    (Keys::Typed("$"), "mentions a skill, by the letters of its name"),
    (Keys::Of(&[Action::PasteImage], ""), "the image in the clipboard goes along"),
    (Keys::Of(&[Action::Transcript], ""), "the whole session, nothing folded"),
    (
        Keys::Of(&[Action::Unfold], ""),
        "all of what is folded, where it stands; with `--fullscreen` also a click on it",
    ),
    (Keys::Of(&[Action::Sessions], ""), "another session"),
    (Keys::Of(&[Action::Editor], ""), "writes on in your editor"),
    (
        Keys::Typed("y t s a n i"),
        "answer a question: once, turn, session, always, no, no and say what instead",
    ),
];

/// What is pressed or typed.
enum Keys {
    /// A key of each action, and what is said behind them.
    Of(&'static [Action], &'static str),
    /// Two keys of an action.
    Both(Action),
    /// What no setting changes.
    Typed(&'static str),
}

impl Keys {
    /// As a person reads it; absent if there is no such key.
    fn told(&self, keymap: &Keymap) -> Option<String> {
        let (keys, then) = match self {
            Self::Typed(text) => return Some((*text).to_owned()),
            Self::Both(action) => (keymap.best(*action, 2), ""),
            Self::Of(actions, then) => {
                (actions.iter().flat_map(|action| keymap.best(*action, 1)).collect(), *then)
            }
        };
        (!keys.is_empty()).then(|| format!("{}{then}", keys.join(", ")))
    }
}

/// The commands, and the keys as they are set.
pub(crate) fn help(
    custom: &[CustomCommand],
    keymap: &Keymap,
    width: u16,
    theme: &Theme,
) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    for entry in command::all(custom) {
        let name = escape::line(&format!("/{} {}", entry.name, entry.argument)).into_owned();
        lines.extend(row(name.trim_end(), &escape::line(&entry.meaning), width, theme));
    }
    for (keys, meaning) in KEYS {
        if let Some(keys) = keys.told(keymap) {
            lines.extend(row(&keys, meaning, width, theme));
        }
    }
    lines
}

/// Every key, and what it is called in the settings.
pub(crate) fn keys(keymap: &Keymap, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    for (name, keys, meaning) in keymap.described() {
        let keys = if keys.is_empty() { "no key" } else { &keys };
        lines.extend(row(name, &format!("{keys} · {meaning}"), width, theme));
    }
    lines
}

/// What the line at the bottom holds, and what else it may.
pub(crate) fn fields(fields: &[Field], width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let now: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
    let mut lines = vec![Line::default()];
    lines.extend(row("now", &now.join(", "), width, theme));
    lines.extend(row("there are", &Field::listed(), width, theme));
    let kept = "`status_line = [\"activity\", \"model\", …]` under `[tui]` in `config.toml`; `script` is what the program of \
                `status_command` says";
    lines.extend(row("to keep it", kept, width, theme));
    lines
}

/// A tip.
pub(crate) fn tip(tip: &str, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let first = [Span::styled("· ", theme.dim)];
    let text = [Span::styled(tip.replace('`', ""), theme.dim)];
    let mut lines = vec![Line::default()];
    lines.extend(wrap(&text, width, &first, &[Span::raw("  ")], Break::Words));
    lines
}

/// What is wrong, or not used.
pub(crate) fn warned(warnings: &[String], width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let first = [Span::styled("! ", theme.warning)];
    let mut lines = vec![Line::default()];
    for warning in warnings {
        let text = [Span::styled(escape::line(warning).into_owned(), theme.warning)];
        lines.extend(wrap(&text, width, &first, &[Span::raw("  ")], Break::Words));
    }
    lines
}

/// What another program is started as.
pub(crate) fn visit(title: &str, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let first = [Span::styled("$ ", theme.accent)];
    let mut lines = vec![Line::default()];
    for (at, line) in title.lines().enumerate() {
        let text = [Span::styled(escape::line(line).into_owned(), theme.strong)];
        let rest = [Span::raw("  ")];
        lines.extend(wrap(&text, width, if at == 0 { &first } else { &rest }, &rest, Break::Letters));
    }
    lines
}

/// The hooks that hold, and what each cost since the daemon started.
pub(crate) fn hooks(listed: &HookListResult, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    if listed.hooks.is_empty() {
        lines.extend(row("hooks", "there is none here", width, theme));
    }
    for hook in &listed.hooks {
        let name = format!("{} {}", hook.event, hook.matcher);
        let owner = if hook.is_own { "your own" } else { "this folder's" };
        let cost = match (&hook.last, hook.runs) {
            (Some(last), 1..) => format!(
                "{} runs, {} failed, {} in all, {} each; the last one took {} and {}",
                words::thousands(hook.runs),
                words::thousands(hook.failures),
                words::span(hook.total_ms),
                words::span(hook.total_ms / hook.runs),
                words::span(last.took_ms),
                came_to(&last.outcome),
            ),
            (Some(_) | None, _) => "did not run since the daemon started".to_owned(),
        };
        let waits = if hook.is_async { " · nobody waits for it" } else { "" };
        let command = escape::short_line(&hook.command, HOOK_LETTERS);
        let text = format!("{command} · {owner}{waits} · {cost}");
        lines.extend(row(escape::line(name.trim_end()).as_ref(), &escape::line(&text), width, theme));
    }
    for problem in &listed.problems {
        lines.extend(row("wrong", &escape::line(problem), width, theme));
    }
    lines
}

/// What a run of a hook came to, as the end of a sentence.
fn came_to(outcome: &HookOutcome) -> &str {
    match outcome {
        HookOutcome::Nothing => "changed nothing",
        HookOutcome::Allowed => "allowed it",
        HookOutcome::Asked => "asked for a person",
        HookOutcome::Blocked => "blocked it",
        HookOutcome::Ended => "ended the turn",
        HookOutcome::Failed => "failed",
        HookOutcome::Unknown(outcome) => outcome,
    }
}

/// What a report of a bug has in it, letter by letter.
pub(crate) fn report(text: &str, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    for line in text.lines() {
        let spans = [Span::styled(escape::line(line).into_owned(), theme.text)];
        let bar = [Span::styled("│ ", theme.dim)];
        lines.extend(wrap(&spans, width, &bar, &bar, Break::Words));
    }
    lines
}

/// All that is known of a session.
pub(crate) fn status(
    status: &Status,
    branch: Option<&str>,
    own: Option<ClientId>,
    width: u16,
    theme: &Theme,
) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    let mode = status.settings.as_ref().map(|settings| settings.sandbox);
    let mut put = |name: &str, value: &str| {
        let is_danger = name == SANDBOX && mode == Some(SandboxMode::DangerFullAccess);
        let style = if is_danger { theme.danger } else { Style::default() };
        lines.extend(styled_row(name, (&escape::line(value), style), width, theme));
    };
    if let Some(session) = status.session {
        put("session", &session.to_string());
    }
    if let Some(title) = &status.title {
        put("title", title);
    }
    if let Some(settings) = &status.settings {
        put("folder", &settings.cwd.to_string_lossy());
        put("model", &format!("{} ({})", settings.model, settings.provider));
        put("effort", status.effort().unwrap_or("default"));
        if let Some(branch) = branch {
            put("branch", branch);
        }
        put(SANDBOX, settings.sandbox.as_str());
        if let Some(permissions) = &settings.permissions {
            put("permissions", &permissions.name);
        }
        put("approvals", settings.approval.as_str());
        if let Some(instructions) = &settings.developer_instructions {
            put("instructions", &escape::shortened(instructions.trim(), 400));
        }
    }
    put("doing", doing(status));
    put("spent", &words::tokens(&status.usage));
    if let Some(tokens) = status.context_tokens {
        let window = status.settings.as_ref().and_then(|settings| settings.model_context.window_tokens);
        let of = window.map(|window| format!(" of {}", words::thousands(window))).unwrap_or_default();
        put("context", &format!("{}{of} tokens at the last request", words::thousands(tokens)));
    }
    for ceiling in &status.budget.ceilings {
        put("budget", &words::ceiling(ceiling));
    }
    for command in &status.presence.background {
        put("background", &escape::short_line(&command.command, HOOK_LETTERS));
    }
    put("queue", &status.queue.len().to_string());
    for attachment in &status.presence.attached {
        let is_us = Some(attachment.actor.client_id) == own;
        put("here", &format!("{}{}", attachment.actor.name, if is_us { " (you)" } else { "" }));
    }
    lines
}

/// The session's commands in the background, and the sessions that run.
pub(crate) fn jobs(
    background: &[BackgroundCommand],
    own: Option<SessionId>,
    sessions: &[SessionSummary],
    now: Timestamp,
    width: u16,
    theme: &Theme,
) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    for command in background {
        let outside = if command.is_escalated { " · outside the sandbox" } else { "" };
        let since = words::span(now.since(command.started_at));
        let text = format!("{} · for {since}{outside}", escape::short_line(&command.command, HOOK_LETTERS));
        lines.extend(row(&format!("background {}", command.process_id), &text, width, theme));
    }
    for session in sessions {
        let state = match session.status {
            SessionStatus::Waiting { .. } => "waits for an answer",
            // Its commands go on. Those of this session stand above.
            SessionStatus::Idle if Some(session.id) == own => continue,
            SessionStatus::Idle => "in the background",
            SessionStatus::Running { .. }
            | SessionStatus::Archived
            | SessionStatus::Damaged { .. }
            | SessionStatus::Unknown(_) => "runs",
        };
        let title = session.title.clone().unwrap_or_else(|| session.id.to_string());
        let here = if Some(session.id) == own { "here · " } else { "" };
        let agent = if session.agent.is_some() { "an agent · " } else { "" };
        let text = format!(
            "{} · {here}{agent}{}",
            escape::short_line(&title, HOOK_LETTERS),
            escape::line(&session.settings.cwd.to_string_lossy())
        );
        lines.extend(row(state, &text, width, theme));
    }
    if let Some(command) = background.first() {
        let text = format!("`/jobs end {}` ends it; what it did stays", command.process_id);
        lines.extend(row("", &text, width, theme));
    } else {
        lines.extend(row("background", "nothing of this session's goes on there", width, theme));
    }
    if sessions.is_empty() {
        lines.extend(row("sessions", "none runs a turn", width, theme));
    }
    lines
}

/// What a provider still lets be asked of it.
pub(crate) fn limits(limits: &[RateLimit], now: Timestamp, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let said = |limit: &RateLimit| row("limit", &escape::line(&words::rate_limit(limit, now)), width, theme);
    limits.iter().flat_map(said).collect()
}

/// What a session is doing, in a word or two.
pub(crate) fn doing(status: &Status) -> &'static str {
    match (status.link, status.activity) {
        (Link::Lost, _) => "connection lost, looking for the daemon",
        (Link::Up, _) if status.session.is_none() => "attaching",
        (Link::Up, Activity::Idle) => "idle",
        (Link::Up, Activity::Running { .. }) => "running",
        (Link::Up, Activity::Waiting { .. }) => "waiting for an answer",
        (Link::Up, Activity::Suspended { .. }) => "resting until the next daemon",
        (Link::Up, Activity::Archived) => "archived",
        (Link::Up, Activity::Damaged) => "damaged",
    }
}

fn row(name: &str, value: &str, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    styled_row(name, (value, Style::default()), width, theme)
}

fn styled_row(name: &str, (value, style): (&str, Style), width: u16, theme: &Theme) -> Vec<Line<'static>> {
    const COLUMN: usize = 20;
    let gap = " ".repeat(COLUMN.saturating_sub(width_of(name)).max(1));
    let first = [Span::raw("  "), Span::styled(name.to_owned(), theme.accent), Span::raw(gap)];
    // On a narrow screen the second column begins further left.
    let indent = if usize::from(width) > 2 * COLUMN { COLUMN + 2 } else { 4 };
    let value = [Span::styled(value.to_owned(), style)];
    wrap(&value, width, &first, &[Span::raw(" ".repeat(indent))], Break::Words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_told_as_they_are_set() {
        let mut keymap = Keymap::default();
        let shown = |keymap: &Keymap| -> Vec<String> {
            let lines = help(&[], keymap, 200, &Theme::plain());
            lines
                .iter()
                .map(|line| line.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
                .collect()
        };
        let has = |keymap: &Keymap, row: &str| shown(keymap).iter().any(|shown| shown == row);
        assert!(has(&keymap, "Ctrl+G writes on in your editor"), "{:?}", shown(&keymap));
        assert!(has(&keymap, "Esc, Ctrl+C stops the turn"));
        keymap.set("editor", &["f4"]).unwrap();
        keymap.set("stop", &[]).unwrap();
        keymap.set("sessions", &[]).unwrap();
        assert!(has(&keymap, "F4 writes on in your editor"), "{:?}", shown(&keymap));
        assert!(has(&keymap, "Ctrl+C stops the turn"));
        assert!(!shown(&keymap).iter().any(|row| row.starts_with("Ctrl+O") || row.starts_with(" twice")));
    }
}
