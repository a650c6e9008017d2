//! A list that a person chooses from, with a line to look for something in it. Knows what was chosen, nothing of how it
//! is done.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use protocol::ids::{SessionId, Timestamp};
use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::session::{SessionStatus, SessionSummary, SettingsOverrides};
use ratatui::text::{Line, Span};
use view::{escape, words};

use crate::command::{APPROVALS, Choice, EFFORTS, SANDBOXES, effort};
use crate::list::{List, Row};
use crate::theme::{Theme, ThemeName};
use crate::wrap::fit;

/// Between two looks at what sessions do.
const REFRESH_MS: u64 = 2000;

/// A list that is open.
#[derive(Debug)]
pub(crate) struct Picker {
    title: &'static str,
    keys: &'static str,
    list: List,
    filter: String,
    picks: Picks,
    /// When what it shows is asked for again, if it is.
    pub(crate) refresh_at: Option<Timestamp>,
}

/// What the rows stand for.
#[derive(Debug)]
enum Picks {
    Settings(Vec<SettingsOverrides>),
    Themes,
    /// The newest first.
    History(Vec<String>),
    Sessions {
        sessions: Vec<SessionSummary>,
        scope: Scope,
    },
}

/// Which sessions are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    ThisFolder,
    Everywhere,
}

/// What a key means to it.
#[derive(Debug, PartialEq)]
pub(crate) enum Picked {
    Nothing,
    Close,
    /// Sessions are wanted.
    List(Scope),
    Change(Box<SettingsOverrides>),
    Theme(ThemeName),
    Text(String),
    Session(SessionId),
}

impl Picker {
    /// For a choice; `history` is what was sent, the oldest first.
    pub(crate) fn of(choice: Choice, history: &[String], now: Timestamp) -> Self {
        let keys = "↑ ↓ moves · Enter chooses · Esc closes";
        let new = |title, rows, picks| Self {
            title,
            keys,
            list: List::new(rows),
            filter: String::new(),
            picks,
            refresh_at: None,
        };
        match choice {
            Choice::Effort => {
                let rows = EFFORTS.map(|level| Row::new(level, "")).to_vec();
                new("How hard the model thinks", rows, Picks::Settings(EFFORTS.map(effort).to_vec()))
            }
            Choice::Permissions => {
                let rows = PERMISSIONS.map(|(name, meaning, ..)| Row::new(name, meaning)).to_vec();
                let settings = PERMISSIONS.map(|(_, _, sandbox, approval)| SettingsOverrides {
                    sandbox: Some(sandbox),
                    approval: Some(approval),
                    ..SettingsOverrides::default()
                });
                new("What the agent may do", rows, Picks::Settings(settings.to_vec()))
            }
            Choice::Sandbox => {
                let rows = SANDBOXES.map(|mode| Row::new(mode.as_str(), sandbox_meaning(mode))).to_vec();
                let settings = SANDBOXES
                    .map(|mode| SettingsOverrides { sandbox: Some(mode), ..SettingsOverrides::default() });
                new("What commands may touch", rows, Picks::Settings(settings.to_vec()))
            }
            Choice::Approvals => {
                let rows =
                    APPROVALS.map(|policy| Row::new(policy.as_str(), approval_meaning(policy))).to_vec();
                let settings = APPROVALS.map(|policy| SettingsOverrides {
                    approval: Some(policy),
                    ..SettingsOverrides::default()
                });
                new("When you are asked", rows, Picks::Settings(settings.to_vec()))
            }
            Choice::Theme => {
                let rows = ThemeName::ALL.map(|theme| Row::new(theme.as_str(), "")).to_vec();
                new("Colours, until you leave", rows, Picks::Themes)
            }
            Choice::History => {
                let texts: Vec<String> = history.iter().rev().cloned().collect();
                let rows =
                    texts.iter().map(|text| Row::new(escape::short_line(text.trim(), 150), "")).collect();
                new("What was sent before", rows, Picks::History(texts))
            }
            Choice::Session => {
                let picks = Picks::Sessions { sessions: Vec::new(), scope: Scope::ThisFolder };
                let keys = "↑ ↓ moves · Enter goes there · Tab this folder or everywhere · Esc closes";
                let refresh_at = Some(Timestamp(now.0 + REFRESH_MS));
                Self { keys, refresh_at, ..new("Sessions", Vec::new(), picks) }
            }
        }
    }

    /// Which sessions it lists, if it does.
    pub(crate) fn scope(&self) -> Option<Scope> {
        match &self.picks {
            Picks::Sessions { scope, .. } => Some(*scope),
            Picks::Settings(_) | Picks::Themes | Picks::History(_) => None,
        }
    }

    /// Sessions came; `own` is the one that is shown already.
    pub(crate) fn set_sessions(
        &mut self,
        listed: Vec<SessionSummary>,
        own: Option<SessionId>,
        now: Timestamp,
    ) {
        let Picks::Sessions { sessions, .. } = &mut self.picks else { return };
        let chosen = self.list.chosen().and_then(|at| sessions.get(at)).map(|session| session.id);
        let rows = listed.iter().map(|session| row(session, own, now)).collect();
        self.list = List::new(rows);
        self.list.filter(&self.filter);
        if let Some(at) = listed.iter().position(|session| Some(session.id) == chosen) {
            self.list.choose(at);
        }
        *sessions = listed;
        self.refresh_at = Some(Timestamp(now.0 + REFRESH_MS));
    }

    /// A key; all are meant for it.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Picked {
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc => return Picked::Close,
            KeyCode::Char('c' | 'g') if has_control => return Picked::Close,
            KeyCode::Up => self.list.go(-1),
            KeyCode::Down => self.list.go(1),
            KeyCode::Char('p') if has_control => self.list.go(-1),
            KeyCode::Char('n' | 'r') if has_control => self.list.go(1),
            KeyCode::PageUp => self.list.go(-8),
            KeyCode::PageDown => self.list.go(8),
            KeyCode::Enter => return self.chosen(),
            KeyCode::Tab => {
                if let Picks::Sessions { scope, .. } = &mut self.picks {
                    *scope = match scope {
                        Scope::ThisFolder => Scope::Everywhere,
                        Scope::Everywhere => Scope::ThisFolder,
                    };
                    return Picked::List(*scope);
                }
            }
            KeyCode::Backspace => {
                self.filter.pop();
                self.list.filter(&self.filter);
            }
            KeyCode::Char('u') if has_control => {
                self.filter.clear();
                self.list.filter("");
            }
            KeyCode::Char(letter) if !has_control && !key.modifiers.contains(KeyModifiers::ALT) => {
                self.filter.push(letter);
                self.list.filter(&self.filter);
            }
            _ => {}
        }
        Picked::Nothing
    }

    fn chosen(&self) -> Picked {
        let Some(at) = self.list.chosen() else { return Picked::Nothing };
        let picked = match &self.picks {
            Picks::Settings(settings) => {
                settings.get(at).map(|change| Picked::Change(Box::new(change.clone())))
            }
            Picks::Themes => ThemeName::ALL.get(at).map(|theme| Picked::Theme(*theme)),
            Picks::History(texts) => texts.get(at).map(|text| Picked::Text(text.clone())),
            Picks::Sessions { sessions, .. } => sessions.get(at).map(|session| Picked::Session(session.id)),
        };
        picked.unwrap_or(Picked::Nothing)
    }

    /// The list in at most so many lines; the line to look for something is the last but one.
    pub(crate) fn lines(&self, width: u16, most: usize, theme: &Theme) -> Vec<Line<'static>> {
        let room = usize::from(width);
        let scope = match self.scope() {
            Some(Scope::ThisFolder) => " of this folder",
            Some(Scope::Everywhere) => " of everywhere",
            None => "",
        };
        let mut lines = Vec::new();
        if most > 4 {
            let title = fit(&format!("{}{scope}", self.title), room);
            lines.push(Line::from(Span::styled(title, theme.accent.patch(theme.strong))));
        }
        if self.list.is_empty() {
            lines.push(Line::from(Span::styled(fit("  nothing fits", room), theme.dim)));
        } else {
            lines.extend(self.list.lines(width, most.saturating_sub(3).max(1), theme));
        }
        let filter = escape::line(&self.filter).into_owned();
        lines.push(Line::from(vec![Span::styled("/ ", theme.accent), Span::styled(filter, theme.text)]));
        if most > 3 {
            lines.push(Line::from(Span::styled(fit(&format!("  {}", self.keys), room), theme.dim)));
        }
        lines
    }
}

const PERMISSIONS: [(&str, &str, SandboxMode, ApprovalPolicy); 4] = [
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

fn sandbox_meaning(mode: SandboxMode) -> &'static str {
    match mode {
        SandboxMode::ReadOnly => "everything may be read, nothing written, no network",
        SandboxMode::WorkspaceWrite => "this folder may be written; no network unless allowed",
        SandboxMode::DangerFullAccess => "no sandbox at all",
    }
}

fn approval_meaning(policy: ApprovalPolicy) -> &'static str {
    match policy {
        ApprovalPolicy::Untrusted => {
            "before every command that is not known to be harmless, and every change"
        }
        ApprovalPolicy::OnRequest => "when the agent wants to leave the sandbox",
        ApprovalPolicy::Never => "never; what would need an answer is refused",
    }
}

fn row(session: &SessionSummary, own: Option<SessionId>, now: Timestamp) -> Row {
    let id = session.id.to_string();
    let title = session.title.clone().unwrap_or_else(|| id.clone());
    let state = match &session.status {
        SessionStatus::Idle => "idle",
        SessionStatus::Running { .. } => "running",
        SessionStatus::Waiting { .. } => "waits for an answer",
        SessionStatus::Archived => "archived",
        SessionStatus::Damaged { .. } => "damaged",
        SessionStatus::Unknown(_) => "?",
    };
    let here = if Some(session.id) == own { "here · " } else { "" };
    let age = words::span(now.since(session.updated_at));
    let settings = &session.settings;
    let cwd = settings.cwd.to_string_lossy();
    Row::new(
        title,
        format!("{here}{state} · {age} ago · {} turns · {} · {cwd}", session.turn_count, settings.model),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::session;

    const NOW: Timestamp = Timestamp(100_000);

    fn key(picker: &mut Picker, code: KeyCode) -> Picked {
        picker.key(KeyEvent::from(code))
    }

    fn shown(picker: &Picker) -> String {
        let lines = picker.lines(120, 12, &Theme::plain());
        lines.iter().map(|line| format!("{}\n", line.to_string().trim_end())).collect()
    }

    #[test]
    fn a_setting_is_found_and_chosen() {
        let mut picker = Picker::of(Choice::Permissions, &[], NOW);
        for letter in "dang".chars() {
            key(&mut picker, KeyCode::Char(letter));
        }
        let Picked::Change(change) = key(&mut picker, KeyCode::Enter) else { panic!("nothing") };
        assert_eq!(change.sandbox, Some(SandboxMode::DangerFullAccess));
    }

    #[test]
    fn what_was_sent_is_found_the_newest_first() {
        let history = ["fix it", "test it", "fix that"].map(str::to_owned);
        let mut picker = Picker::of(Choice::History, &history, NOW);
        assert_eq!(key(&mut picker, KeyCode::Enter), Picked::Text("fix that".to_owned()));
        for letter in "fix it".chars() {
            key(&mut picker, KeyCode::Char(letter));
        }
        assert_eq!(key(&mut picker, KeyCode::Enter), Picked::Text("fix it".to_owned()));
        key(&mut picker, KeyCode::Char('z'));
        assert_eq!(key(&mut picker, KeyCode::Enter), Picked::Nothing);
    }

    #[test]
    fn the_chosen_session_stays_chosen_while_the_list_changes() {
        let mut picker = Picker::of(Choice::Session, &[], NOW);
        assert_eq!(key(&mut picker, KeyCode::Enter), Picked::Nothing);
        let named = |title: &str| {
            let mut summary = session("x").summary;
            summary.title = Some(title.to_owned());
            summary
        };
        let (one, two) = (named("one"), named("two \u{1b}[2J"));
        picker.set_sessions(vec![one.clone(), two.clone()], Some(one.id), NOW);
        assert!(shown(&picker).contains("one") && shown(&picker).contains("here · running"));
        assert!(shown(&picker).contains("two \\e[2J"));
        key(&mut picker, KeyCode::Down);
        picker.set_sessions(vec![named("new"), one, two.clone()], None, NOW);
        assert_eq!(key(&mut picker, KeyCode::Enter), Picked::Session(two.id));
        assert_eq!(key(&mut picker, KeyCode::Tab), Picked::List(Scope::Everywhere));
    }
}
