//! The sessions of a list: which ones are wanted, what is said of the chosen one below them, and what can become of one.
//! Knows nothing of how rows are looked for and chosen.

use std::collections::HashMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use protocol::ids::{Seq, SessionId};
use protocol::item::ItemBody;
use protocol::session::{SessionSnapshot, SessionStatus, SessionSummary};
use ratatui::text::{Line, Span};
use view::{escape, words};

use crate::keys::words_of;
use crate::picker::Picked;
use crate::theme::Theme;
use crate::wrap::{Break, fit, wrap};

/// What its keys do.
const KEYS: &str = "Enter goes there · Tab everywhere · Ctrl+A puts away · Ctrl+E renames · Ctrl+T all";
const KEYS_BESIDE: &str = "Enter shows it beside · Tab everywhere · Ctrl+T all · Esc closes";
const KEYS_RENAMING: &str = "Enter keeps the title · Esc leaves it as it was";

/// Letters of what was said that are kept to be shown.
const SAID_LETTERS: usize = 600;
/// The longest title.
pub(crate) const TITLE_LETTERS: usize = 200;

/// Which sessions are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) scope: Scope,
    pub(crate) archived: Archived,
}

/// Of where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    ThisFolder,
    Everywhere,
}

/// Whether those that were put away are listed too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Archived {
    Hidden,
    Shown,
}

/// What is to become of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tending {
    PutAway,
    TakeBack,
    Rename(String),
}

/// What a session is chosen for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    #[default]
    GoThere,
    ShowBeside,
}

/// Sessions, and what was read of them.
#[derive(Debug, Default)]
pub(crate) struct Browser {
    purpose: Purpose,
    sessions: Vec<SessionSummary>,
    pub(crate) listing: Listing,
    previews: HashMap<SessionId, Preview>,
    /// The one that is being read.
    asked: Option<SessionId>,
    /// The one that gets another title, and that title as far as it is written.
    pub(crate) renaming: Option<(SessionId, String)>,
}

/// The end of a session.
#[derive(Debug, Default)]
struct Preview {
    seq: Seq,
    said: String,
    answer: String,
    question: Option<&'static str>,
}

impl Default for Listing {
    fn default() -> Self {
        Self { scope: Scope::ThisFolder, archived: Archived::Hidden }
    }
}

impl Listing {
    /// As it stands behind the title.
    pub(crate) fn as_str(self) -> &'static str {
        match (self.scope, self.archived) {
            (Scope::ThisFolder, Archived::Hidden) => " of this folder",
            (Scope::ThisFolder, Archived::Shown) => " of this folder, archived too",
            (Scope::Everywhere, Archived::Hidden) => " of everywhere",
            (Scope::Everywhere, Archived::Shown) => " of everywhere, archived too",
        }
    }
}

impl Tending {
    /// The title that it gets.
    pub(crate) fn title(&self) -> Option<&str> {
        match self {
            Self::Rename(title) => Some(title),
            Self::PutAway | Self::TakeBack => None,
        }
    }
}

impl Browser {
    /// Nothing yet.
    pub(crate) fn new(purpose: Purpose) -> Self {
        Self { purpose, ..Self::default() }
    }

    /// What one is chosen for.
    pub(crate) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// What its keys do now.
    pub(crate) fn keys(&self) -> &'static str {
        match (&self.renaming, self.purpose) {
            (Some(_), _) => KEYS_RENAMING,
            (None, Purpose::GoThere) => KEYS,
            (None, Purpose::ShowBeside) => KEYS_BESIDE,
        }
    }

    /// Which session stands in a row.
    pub(crate) fn id(&self, row: usize) -> Option<SessionId> {
        self.sessions.get(row).map(|session| session.id)
    }

    /// Sessions came.
    pub(crate) fn set(&mut self, sessions: Vec<SessionSummary>) {
        self.sessions = sessions;
    }

    /// The session of a row, if more of it is to be read and nothing is being read.
    pub(crate) fn peek(&mut self, row: usize) -> Option<SessionId> {
        let session = self.sessions.get(row).filter(|_| self.asked.is_none())?;
        let is_known = self.previews.get(&session.id).is_some_and(|known| known.seq >= session.seq);
        let is_readable = !matches!(session.status, SessionStatus::Damaged { .. });
        let id = Some(session.id).filter(|_| is_readable && !is_known)?;
        self.asked = Some(id);
        Some(id)
    }

    /// The end of a session was read; one that can't be is not tried again.
    pub(crate) fn set_preview(&mut self, session: SessionId, read: Option<&SessionSnapshot>) {
        self.asked = None;
        let preview = read.map_or_else(|| Preview { seq: Seq(u64::MAX), ..Preview::default() }, Preview::of);
        self.previews.insert(session, preview);
    }

    /// A key; absent if it is not meant for this.
    pub(crate) fn key(&mut self, key: KeyEvent, row: Option<usize>) -> Option<Picked> {
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if let Some((session, title)) = &mut self.renaming {
            match key.code {
                KeyCode::Esc => self.renaming = None,
                KeyCode::Char('c' | 'g') if has_control => self.renaming = None,
                KeyCode::Char('u') if has_control => title.clear(),
                KeyCode::Backspace => {
                    title.pop();
                }
                KeyCode::Char(letter) if !has_control && title.chars().count() < TITLE_LETTERS => {
                    title.push(letter)
                }
                KeyCode::Enter if !title.trim().is_empty() => {
                    let picked = Picked::Tend(*session, Tending::Rename(title.trim().to_owned()));
                    self.renaming = None;
                    return Some(picked);
                }
                _ => {}
            }
            return Some(Picked::Nothing);
        }
        match key.code {
            KeyCode::Tab => {
                self.listing.scope = match self.listing.scope {
                    Scope::ThisFolder => Scope::Everywhere,
                    Scope::Everywhere => Scope::ThisFolder,
                };
                Some(Picked::List(self.listing))
            }
            KeyCode::Char('t') if has_control => {
                self.listing.archived = match self.listing.archived {
                    Archived::Hidden => Archived::Shown,
                    Archived::Shown => Archived::Hidden,
                };
                Some(Picked::List(self.listing))
            }
            KeyCode::Char('a') if has_control => {
                let session = self.sessions.get(row?)?;
                let is_away = matches!(session.status, SessionStatus::Archived);
                let tending = if is_away { Tending::TakeBack } else { Tending::PutAway };
                Some(Picked::Tend(session.id, tending))
            }
            KeyCode::Char('e') if has_control => {
                let session = self.sessions.get(row?)?;
                self.renaming = Some((session.id, session.title.clone().unwrap_or_default()));
                Some(Picked::Nothing)
            }
            _ => None,
        }
    }

    /// What was said last in the session of a row, in at most so many lines.
    pub(crate) fn lines(&self, row: usize, width: u16, most: usize, theme: &Theme) -> Vec<Line<'static>> {
        let Some(preview) = self.id(row).and_then(|id| self.previews.get(&id)) else { return Vec::new() };
        if most < 2 {
            return Vec::new();
        }
        let mut lines = vec![Line::styled(fit("  ────────", usize::from(width)), theme.dim)];
        let mut put = |mark: &'static str, text: &str, most: usize| {
            let text = escape::line(text);
            if text.trim().is_empty() {
                return;
            }
            let first = [Span::raw("    "), Span::styled(mark, theme.accent)];
            let spans = [Span::styled(text.into_owned(), theme.dim)];
            let mut wrapped = wrap(&spans, width, &first, &[Span::raw("      ")], Break::Words);
            wrapped.truncate(most);
            lines.extend(wrapped);
        };
        put("› ", &preview.said, 2);
        put("• ", &preview.answer, 4);
        put("? ", preview.question.unwrap_or_default(), 1);
        lines.truncate(most);
        lines
    }
}

impl Preview {
    fn of(read: &SessionSnapshot) -> Self {
        let (mut said, mut answer) = (String::new(), String::new());
        for item in read.turns.iter().flat_map(|turn| &turn.items) {
            match &item.body {
                ItemBody::UserMessage(message) => said = words_of(&message.content).unwrap_or_default(),
                ItemBody::AgentMessage(message) => answer.clone_from(&message.text),
                ItemBody::Reasoning(_)
                | ItemBody::Command(_)
                | ItemBody::FileChange(_)
                | ItemBody::ToolCall(_)
                | ItemBody::Plan(_)
                | ItemBody::Notice(_)
                | ItemBody::WebSearch(_)
                | ItemBody::Compaction(_)
                | ItemBody::Agent(_)
                | ItemBody::Review(_)
                | ItemBody::Unknown(_) => {}
            }
        }
        let short = |text: &str| {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            text.chars().take(SAID_LETTERS).collect()
        };
        let question = read.questions.first().map(|question| words::asked(&question.kind));
        Self { seq: read.summary.seq, said: short(&said), answer: short(&answer), question }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::session;

    fn control(letter: char) -> KeyEvent {
        KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)
    }

    #[test]
    fn the_chosen_session_is_read_once_until_it_goes_on() {
        let mut browser = Browser::default();
        let mut read = session("It  **works**\nnow");
        browser.set(vec![read.summary.clone()]);
        assert_eq!(browser.peek(0), Some(read.summary.id));
        assert_eq!(browser.peek(0), None, "it is being read");
        browser.set_preview(read.summary.id, Some(&read));
        assert_eq!(browser.peek(0), None);
        let lines = browser.lines(0, 60, 8, &Theme::plain());
        let shown: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(shown[1..], ["    › make it work", "    • It **works** now"]);
        read.summary.seq = read.summary.seq.next();
        browser.set(vec![read.summary.clone()]);
        assert_eq!(browser.peek(0), Some(read.summary.id));
        browser.set_preview(read.summary.id, None);
        assert_eq!(browser.peek(0), None, "what can't be read is not tried again");
    }

    #[test]
    fn a_session_is_put_away_taken_back_and_renamed() {
        let mut browser = Browser::default();
        let mut summary = session("x").summary;
        let id = summary.id;
        browser.set(vec![summary.clone()]);
        assert_eq!(browser.key(control('a'), Some(0)), Some(Picked::Tend(id, Tending::PutAway)));
        summary.status = SessionStatus::Archived;
        browser.set(vec![summary]);
        assert_eq!(browser.key(control('a'), Some(0)), Some(Picked::Tend(id, Tending::TakeBack)));
        assert_eq!(browser.key(control('e'), Some(0)), Some(Picked::Nothing));
        for letter in "ab".chars() {
            assert_eq!(browser.key(KeyEvent::from(KeyCode::Char(letter)), Some(0)), Some(Picked::Nothing));
        }
        let renamed = Picked::Tend(id, Tending::Rename("ab".to_owned()));
        assert_eq!(browser.key(KeyEvent::from(KeyCode::Enter), Some(0)), Some(renamed));
        assert_eq!(browser.key(KeyEvent::from(KeyCode::Char('x')), Some(0)), None);
    }
}
