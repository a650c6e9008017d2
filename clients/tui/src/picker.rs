//! A list that a person chooses from, with a line to look for something in it. Knows what was chosen, nothing of how it
//! is done.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use protocol::catalogue::ModelListResult;
use protocol::ids::{QueuedId, Seq, SessionId, Timestamp, TurnId};
use protocol::rewind::RewindResult;
use protocol::session::{
    SessionSettings, SessionSnapshot, SessionSummary, SettingOverride, SettingsOverrides,
};
use ratatui::text::{Line, Span};
use view::escape;

use crate::browser::{self, Browser, Listing, Purpose, Tending};
use crate::choices::{PERMISSIONS, approval_meaning, model_rows, sandbox_meaning, session_row};
use crate::command::{APPROVALS, Choice, EFFORTS, SANDBOXES, effort};
use crate::lesson;
use crate::list::{List, Row};
use crate::modes::SessionMode;
use crate::rewinding::{self, Place, Way};
use crate::theme::{Theme, ThemeName};
use crate::wrap::fit;

/// Rows that it may take, and with what is said of a session.
const ROWS: usize = 14;
const SESSION_ROWS: usize = 20;
/// Between two looks at what sessions do.
const REFRESH_MS: u64 = 2000;
/// Keys that were typed before a list came by itself were not meant for it.
const SEEN_MS: u64 = 500;

/// A list that is open.
#[derive(Debug)]
pub(crate) struct Picker {
    title: Cow<'static, str>,
    keys: &'static str,
    list: List,
    filter: String,
    picks: Picks,
    /// Whether the rows are still on their way.
    is_loading: bool,
    /// When what it shows is asked for again, if it is.
    pub(crate) refresh_at: Option<Timestamp>,
    /// From when on keys are meant for it.
    listens_at: Timestamp,
}

/// What the rows stand for.
#[derive(Debug)]
enum Picks {
    Settings(Vec<SettingsOverrides>),
    /// With their providers; absent where nothing can be chosen.
    Models(Vec<Option<(String, String)>>),
    /// None, and then the modes in their order.
    Modes,
    Plans,
    /// What each one says.
    Queue(Vec<(QueuedId, String)>),
    Places(Vec<Place>),
    /// The last turn of each; absent: all of them.
    Forks(Vec<Option<TurnId>>),
    Ways(Vec<Way>),
    Themes,
    /// The newest first.
    History(Vec<String>),
    /// A line, what was written, and the files that it may go to; then: it is said.
    Lesson {
        line: String,
        text: String,
        files: Vec<PathBuf>,
    },
    Sessions(Browser),
}

/// What a key means to it.
#[derive(Debug, PartialEq)]
pub(crate) enum Picked {
    Nothing,
    Close,
    /// Sessions are wanted.
    List(Listing),
    /// Something is to become of one of them, which stays in the list.
    Tend(SessionId, Tending),
    Change(Box<SettingsOverrides>),
    Mode(Option<usize>),
    Plan(PlanChoice),
    Queued(QueuedId, String),
    Place(Place),
    Fork(Option<TurnId>),
    Way(Way),
    Theme(ThemeName),
    Text(String),
    /// This line goes into a file; or what was written is said.
    Lesson(Option<PathBuf>, String),
    Session(SessionId),
    Beside(SessionId),
}

/// What becomes of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlanChoice {
    CarryOut,
    /// Carried out by a new session, which knows nothing else.
    Fresh,
    Edit,
    /// It is to be made otherwise.
    Revise,
}

const PLANS: [(PlanChoice, &str, &str); 4] = [
    (PlanChoice::CarryOut, "carry it out", "here, with what the agent may do otherwise"),
    (PlanChoice::Fresh, "carry it out afresh", "in a new session that knows the plan and nothing else"),
    (PlanChoice::Edit, "change it first", "in your editor; then this is asked again"),
    (PlanChoice::Revise, "go on planning", "say what is to be different"),
];

impl Picker {
    /// For a choice; `history` is what was sent, the oldest first.
    pub(crate) fn of(choice: Choice, history: &[String], modes: &[SessionMode], now: Timestamp) -> Self {
        let keys = "↑ ↓ moves · Enter chooses · Esc closes";
        let new = |title, rows, picks| Self {
            title: Cow::Borrowed(title),
            keys,
            list: List::new(rows),
            filter: String::new(),
            picks,
            is_loading: false,
            refresh_at: None,
            listens_at: now,
        };
        match choice {
            Choice::Model => {
                Self { is_loading: true, ..new("Models", Vec::new(), Picks::Models(Vec::new())) }
            }
            Choice::Turn => {
                let picks = Picks::Places(Vec::new());
                Self { is_loading: true, ..new("Back to before", Vec::new(), picks) }
            }
            Choice::Fork => {
                let picks = Picks::Forks(Vec::new());
                Self {
                    is_loading: true,
                    ..new("A new session, which begins as this one was", Vec::new(), picks)
                }
            }
            Choice::Mode => {
                let none = Row::new("none", "as the session is otherwise");
                let row = |mode: &SessionMode| Row::new(mode.name.clone(), mode.meaning.clone());
                let rows = std::iter::once(none).chain(modes.iter().map(row)).collect();
                new("Modes", rows, Picks::Modes)
            }
            Choice::Plan => {
                let rows = PLANS.map(|(_, name, meaning)| Row::new(name, meaning)).to_vec();
                let listens_at = Timestamp(now.0 + SEEN_MS);
                Self { listens_at, ..new("The plan is ready", rows, Picks::Plans) }
            }
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
            Choice::Session | Choice::Beside => {
                let purpose = if choice == Choice::Beside { Purpose::ShowBeside } else { Purpose::GoThere };
                let picks = Picks::Sessions(Browser::new(purpose));
                let keys = browser::KEYS;
                let refresh_at = Some(Timestamp(now.0 + REFRESH_MS));
                Self { keys, refresh_at, is_loading: true, ..new("Sessions", Vec::new(), picks) }
            }
        }
    }

    /// For what waits for its turn, the next one first.
    pub(crate) fn of_queue(queued: Vec<(QueuedId, String)>, now: Timestamp) -> Self {
        let rows =
            queued.iter().map(|(_, text)| Row::new(escape::short_line(text.trim(), 150), "")).collect();
        let picker = Self::of(Choice::Turn, &[], &[], now);
        Self {
            title: Cow::Borrowed("What waits for its turn"),
            list: List::new(rows),
            picks: Picks::Queue(queued),
            is_loading: false,
            ..picker
        }
    }

    /// The ways back to a place.
    pub(crate) fn of_ways(place: &Place, result: &RewindResult, now: Timestamp) -> Self {
        let (headline, ways) = rewinding::ways(place, result);
        let (rows, ways): (Vec<Row>, Vec<Way>) = ways.into_iter().unzip();
        let picker = Self::of(Choice::Turn, &[], &[], now);
        Self {
            title: Cow::Owned(headline),
            list: List::new(rows),
            picks: Picks::Ways(ways),
            is_loading: false,
            ..picker
        }
    }

    /// For the file that a line goes to.
    pub(crate) fn of_lesson(
        line: &str,
        text: &str,
        cwd: &Path,
        settings: Option<&Path>,
        now: Timestamp,
    ) -> Self {
        let project = ("this project's instructions", lesson::file_of_project(cwd));
        let own = settings.map(|folder| ("your own, for every project", lesson::file_of_person(folder)));
        let named: Vec<_> = std::iter::once(project).chain(own).collect();
        let mut rows: Vec<Row> =
            named.iter().map(|(name, file)| Row::new(*name, file.to_string_lossy())).collect();
        rows.push(Row::new("none: say it to the agent", ""));
        let files = named.into_iter().map(|(_, file)| file).collect();
        Self {
            title: Cow::Owned(format!("Where is this added? {}", escape::short_line(line, 200))),
            list: List::new(rows),
            picks: Picks::Lesson { line: line.to_owned(), text: text.to_owned(), files },
            is_loading: false,
            ..Self::of(Choice::Turn, &[], &[], now)
        }
    }

    /// What was written before it came, and is not lost if nothing is chosen.
    pub(crate) fn written(&self) -> Option<&str> {
        match &self.picks {
            Picks::Lesson { text, .. } => Some(text),
            Picks::Settings(_)
            | Picks::Models(_)
            | Picks::Modes
            | Picks::Plans
            | Picks::Queue(_)
            | Picks::Places(_)
            | Picks::Forks(_)
            | Picks::Ways(_)
            | Picks::Themes
            | Picks::History(_)
            | Picks::Sessions(_) => None,
        }
    }

    /// Which sessions it lists, if it does.
    pub(crate) fn listing(&self) -> Option<Listing> {
        match &self.picks {
            Picks::Sessions(browser) => Some(browser.listing),
            Picks::Settings(_)
            | Picks::Models(_)
            | Picks::Modes
            | Picks::Plans
            | Picks::Queue(_)
            | Picks::Places(_)
            | Picks::Forks(_)
            | Picks::Ways(_)
            | Picks::Themes
            | Picks::Lesson { .. }
            | Picks::History(_) => None,
        }
    }

    /// Whether it asks what becomes of a plan.
    pub(crate) fn is_of_plan(&self) -> bool {
        matches!(self.picks, Picks::Plans)
    }

    /// Whether keys are meant for it.
    pub(crate) fn listens(&self, now: Timestamp) -> bool {
        now >= self.listens_at
    }

    /// When it is to be looked at again.
    pub(crate) fn wakes_at(&self) -> Option<Timestamp> {
        self.refresh_at
    }

    /// What it waits for does not come.
    pub(crate) fn fail(&mut self) {
        self.is_loading = false;
    }

    /// Turns came.
    pub(crate) fn set_places(&mut self, snapshot: &SessionSnapshot, now: Timestamp) {
        let rows = match &mut self.picks {
            Picks::Places(places) => {
                let (rows, found): (Vec<_>, _) = rewinding::places(snapshot, now).into_iter().unzip();
                *places = found;
                rows
            }
            Picks::Forks(turns) => {
                let (rows, found): (Vec<_>, _) = rewinding::forks(snapshot, now).into_iter().unzip();
                *turns = found;
                rows
            }
            Picks::Settings(_)
            | Picks::Models(_)
            | Picks::Modes
            | Picks::Plans
            | Picks::Queue(_)
            | Picks::Ways(_)
            | Picks::Themes
            | Picks::History(_)
            | Picks::Lesson { .. }
            | Picks::Sessions(_) => return,
        };
        self.list = List::new(rows);
        self.list.filter(&self.filter);
        self.is_loading = false;
    }

    /// Models came; `settings` are those of the session that is shown.
    pub(crate) fn set_models(&mut self, listed: ModelListResult, settings: Option<&SessionSettings>) {
        let Picks::Models(models) = &mut self.picks else { return };
        let (rows, found) = model_rows(listed, settings).into_iter().unzip();
        *models = found;
        self.list = List::new(rows);
        self.list.filter(&self.filter);
        self.is_loading = false;
    }

    /// Sessions came; `own` is the one that is shown already, and `seen` is how far others were seen.
    pub(crate) fn set_sessions(
        &mut self,
        listed: Vec<SessionSummary>,
        own: Option<SessionId>,
        seen: &HashMap<SessionId, Seq>,
        now: Timestamp,
    ) {
        let Picks::Sessions(browser) = &mut self.picks else { return };
        let chosen = self.list.chosen().and_then(|at| browser.id(at));
        self.is_loading = false;
        self.list = List::new(listed.iter().map(|session| session_row(session, own, seen, now)).collect());
        self.list.filter(&self.filter);
        if let Some(at) = listed.iter().position(|session| Some(session.id) == chosen) {
            self.list.choose(at);
        }
        browser.set(listed);
        self.refresh_at = Some(Timestamp(now.0 + REFRESH_MS));
    }

    /// The session of which more is to be read, to be shown below the list.
    pub(crate) fn peek(&mut self) -> Option<SessionId> {
        let Picks::Sessions(browser) = &mut self.picks else { return None };
        browser.peek(self.list.chosen()?)
    }

    /// More of a session was read, or could not be.
    pub(crate) fn set_preview(&mut self, session: SessionId, read: Option<&SessionSnapshot>) {
        if let Picks::Sessions(browser) = &mut self.picks {
            browser.set_preview(session, read);
        }
    }

    /// Most rows that it may take.
    pub(crate) fn most_rows(&self) -> usize {
        if self.listing().is_some() { SESSION_ROWS } else { ROWS }
    }

    /// A key; all are meant for it.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Picked {
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if let Picks::Sessions(browser) = &mut self.picks
            && let Some(picked) = browser.key(key, self.list.chosen())
        {
            return picked;
        }
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
            Picks::Models(models) => models.get(at).cloned().flatten().map(|(provider, model)| {
                let values = vec![SettingOverride::text("model_provider", &provider)];
                let change = SettingsOverrides { values, model: Some(model), ..SettingsOverrides::default() };
                Picked::Change(Box::new(change))
            }),
            Picks::Modes => Some(Picked::Mode(at.checked_sub(1))),
            Picks::Plans => PLANS.get(at).map(|(choice, ..)| Picked::Plan(*choice)),
            Picks::Queue(queued) => queued.get(at).map(|(id, text)| Picked::Queued(*id, text.clone())),
            Picks::Places(places) => places.get(at).cloned().map(Picked::Place),
            Picks::Forks(turns) => turns.get(at).copied().map(Picked::Fork),
            Picks::Ways(ways) => ways.get(at).cloned().map(Picked::Way),
            Picks::Themes => ThemeName::ALL.get(at).map(|theme| Picked::Theme(*theme)),
            Picks::Lesson { line, text, files } => Some(match files.get(at) {
                Some(file) => Picked::Lesson(Some(file.clone()), line.clone()),
                None => Picked::Lesson(None, text.clone()),
            }),
            Picks::History(texts) => texts.get(at).map(|text| Picked::Text(text.clone())),
            Picks::Sessions(browser) => browser.id(at).map(|session| match browser.purpose() {
                Purpose::GoThere => Picked::Session(session),
                Purpose::ShowBeside => Picked::Beside(session),
            }),
        };
        picked.unwrap_or(Picked::Nothing)
    }

    /// The list in at most so many lines; the line to look for something is the last but one.
    pub(crate) fn lines(&self, width: u16, most: usize, theme: &Theme) -> Vec<Line<'static>> {
        let room = usize::from(width);
        let scope = self.listing().map_or("", Listing::as_str);
        let below = match (&self.picks, self.list.chosen()) {
            (Picks::Sessions(browser), Some(at)) => {
                browser.lines(at, width, most.saturating_sub(4) / 2, theme)
            }
            _ => Vec::new(),
        };
        let mut lines = Vec::new();
        if most > 4 {
            let title = fit(&format!("{}{scope}", self.title), room);
            lines.push(Line::from(Span::styled(title, theme.accent.patch(theme.strong))));
        }
        if self.list.is_empty() {
            let text = if self.is_loading { "  reading" } else { "  nothing fits" };
            lines.push(Line::from(Span::styled(fit(text, room), theme.dim)));
        } else {
            lines.extend(self.list.lines(width, most.saturating_sub(3 + below.len()).max(1), theme));
        }
        lines.extend(below);
        let (mark, written) = match &self.picks {
            Picks::Sessions(Browser { renaming: Some((_, title)), .. }) => ("title: ", title),
            _ => ("/ ", &self.filter),
        };
        let written = escape::line(written).into_owned();
        lines.push(Line::from(vec![Span::styled(mark, theme.accent), Span::styled(written, theme.text)]));
        if most > 3 {
            lines.push(Line::from(Span::styled(fit(&format!("  {}", self.keys), room), theme.dim)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use protocol::catalogue::{Model, ModelChoice, ModelFacts, ProviderModels, ProviderState};
    use protocol::profile::SandboxMode;

    use super::*;
    use crate::browser::Scope;
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
        let mut picker = Picker::of(Choice::Permissions, &[], &[], NOW);
        for letter in "dang".chars() {
            key(&mut picker, KeyCode::Char(letter));
        }
        let Picked::Change(change) = key(&mut picker, KeyCode::Enter) else { panic!("nothing") };
        assert_eq!(change.sandbox, Some(SandboxMode::DangerFullAccess));
    }

    #[test]
    fn a_model_is_chosen_with_its_provider_and_only_where_there_is_a_key() {
        let mut picker = Picker::of(Choice::Model, &[], &[], NOW);
        assert!(shown(&picker).contains("reading"));
        let model = |name: &str| Model {
            name: name.to_owned(),
            title: None,
            facts: ModelFacts { context_window: Some(200_000), ..ModelFacts::default() },
            local: None,
        };
        let provider = |id: &str, state, models| ProviderModels {
            id: id.to_owned(),
            name: id.to_owned(),
            state,
            models,
        };
        let ready = || ProviderState::Ready { through: "a key".to_owned() };
        let closed = ProviderState::NoCredential { hint: "no".to_owned() };
        let listed = ModelListResult {
            choice: ModelChoice::default(),
            providers: vec![
                provider("closed", closed, vec![model("hidden")]),
                provider("far", ready(), vec![model("far-1")]),
                provider("local", ready(), vec![model("m-1"), model("m-2")]),
            ],
        };
        picker.set_models(listed, Some(&session("x").summary.settings));
        let text = shown(&picker);
        assert!(text.contains("now · local · 200,000 tokens") && text.contains("/login closed"), "{text}");
        assert!(!text.contains("hidden"));
        key(&mut picker, KeyCode::Down);
        key(&mut picker, KeyCode::Down);
        let Picked::Change(change) = key(&mut picker, KeyCode::Enter) else { panic!("nothing") };
        assert_eq!(change.model.as_deref(), Some("far-1"));
        assert_eq!(change.values[0].value, "\"far\"");
        key(&mut picker, KeyCode::Down);
        assert_eq!(key(&mut picker, KeyCode::Enter), Picked::Nothing);
    }

    #[test]
    fn what_was_sent_is_found_the_newest_first() {
        let history = ["fix it", "test it", "fix that"].map(str::to_owned);
        let mut picker = Picker::of(Choice::History, &history, &[], NOW);
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
        let mut picker = Picker::of(Choice::Session, &[], &[], NOW);
        assert_eq!(key(&mut picker, KeyCode::Enter), Picked::Nothing);
        let named = |title: &str| {
            let mut summary = session("x").summary;
            summary.title = Some(title.to_owned());
            summary
        };
        let (one, two) = (named("one"), named("two \u{1b}[2J"));
        let seen = HashMap::from([(one.id, Seq(0)), (two.id, Seq(4))]);
        picker.set_sessions(vec![one.clone(), two.clone()], Some(one.id), &seen, NOW);
        assert!(shown(&picker).contains("one") && shown(&picker).contains("here · running"));
        assert!(shown(&picker).contains("● two \\e[2J"));
        key(&mut picker, KeyCode::Down);
        picker.set_sessions(vec![named("new"), one, two.clone()], None, &HashMap::new(), NOW);
        assert_eq!(key(&mut picker, KeyCode::Enter), Picked::Session(two.id));
        let Picked::List(listing) = key(&mut picker, KeyCode::Tab) else { panic!("nothing") };
        assert_eq!(listing.scope, Scope::Everywhere);
    }
}
