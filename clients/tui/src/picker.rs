//! A list that a person chooses from, with a line to look for something in it. Knows what was chosen, nothing of how it
//! is done.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use protocol::account::Account;
use protocol::agent::AgentNode;
use protocol::catalogue::ModelListResult;
use protocol::ids::{BlobId, QueuedId, Seq, SessionId, Timestamp, TurnId};
use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::rewind::RewindResult;
use protocol::session::{
    SessionSettings, SessionSnapshot, SessionSummary, SettingOverride, SettingsOverrides,
};
use protocol::skill::Skill;
use ratatui::text::{Line, Span};
use view::{escape, words};

use crate::browser::{Browser, Listing, Purpose, Tending};
use crate::choices::{
    PERMISSIONS, Reach, account_row, agent_row, approval_meaning, model_rows, output_rows, sandbox_meaning,
    session_row, skill_row,
};
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
    /// What choosing each row means; absent where it means nothing.
    picks: Vec<Option<Picked>>,
    /// What is chosen, where its rows come from elsewhere or more hangs on it.
    choice: Choice,
    /// Sessions have more to them than a row.
    browser: Option<Browser>,
    /// What was written before it came, and is not lost if nothing is chosen.
    written: Option<String>,
    /// For each row what goes along with what is written, where the row can; empty if none can.
    mentions: Vec<Option<String>>,
    /// Whether the rows are still on their way.
    is_loading: bool,
    /// When what it shows is asked for again, if it is.
    pub(crate) refresh_at: Option<Timestamp>,
    /// From when on keys are meant for it.
    listens_at: Timestamp,
}

/// A row, and what choosing it means.
pub(crate) type Pick = (Row, Option<Picked>);

/// What a key means to it.
#[derive(Clone, Debug, PartialEq)]
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
    /// A skill goes along with what is written.
    Skill(String),
    /// What a skill says is shown.
    SkillText(String),
    /// The person's editor opens a file.
    Open(PathBuf),
    /// All of what this command printed is shown.
    Output(BlobId, String),
    /// A key of this provider is stored, or its account signed in with.
    SignIn(String),
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
        let new = |title, picks| Self::new(choice, title, picks, now);
        let change = |change: SettingsOverrides| Some(Picked::Change(Box::new(change)));
        let none = SettingsOverrides::default;
        match choice {
            Choice::Model => new("Models", Vec::new()).loading(),
            Choice::Turn => new("Back to before", Vec::new()).loading(),
            Choice::Fork => new("A new session, which begins as this one was", Vec::new()).loading(),
            Choice::Skill => {
                let keys = "↑ ↓ moves · Enter shows it · Tab mentions it · Esc closes";
                Self { keys, ..new("Skills", Vec::new()).loading() }
            }
            Choice::Account => new("Whom to sign in with, or to have a key of", Vec::new()).loading(),
            Choice::Agent => new("Agents", Vec::new()).loading(),
            Choice::Output => new("What commands printed and is not shown whole", Vec::new()).loading(),
            Choice::Queued => new("What waits for its turn", Vec::new()),
            Choice::Way => new("Back", Vec::new()),
            Choice::Lesson => new("Where is this added?", Vec::new()),
            Choice::Instructions => new("What the agent is told of this folder; Enter opens it", Vec::new()),
            Choice::Mode => {
                let first = (Row::new("none", "as the session is otherwise"), Some(Picked::Mode(None)));
                let row = |(at, mode): (usize, &SessionMode)| {
                    (Row::new(mode.name.clone(), mode.meaning.clone()), Some(Picked::Mode(Some(at))))
                };
                new("Modes", std::iter::once(first).chain(modes.iter().enumerate().map(row)).collect())
            }
            Choice::Plan => {
                let pick = |(choice, name, meaning)| (Row::new(name, meaning), Some(Picked::Plan(choice)));
                let listens_at = Timestamp(now.0 + SEEN_MS);
                Self { listens_at, ..new("The plan is ready", PLANS.map(pick).to_vec()) }
            }
            Choice::Effort => {
                let pick = |level| (Row::new(level, ""), change(effort(level)));
                new("How hard the model thinks", EFFORTS.map(pick).to_vec())
            }
            Choice::Permissions => {
                let pick = |(name, meaning, reach, approval)| {
                    let (sandbox, permissions) = match reach {
                        Reach::Mode(mode) => (Some(mode), None),
                        Reach::Permissions(name) => (None, Some(String::from(name))),
                    };
                    let approval = Some(approval);
                    let wanted = SettingsOverrides { sandbox, permissions, approval, ..none() };
                    (Row::new(name, meaning), change(wanted))
                };
                new("What the agent may do", PERMISSIONS.map(pick).to_vec())
            }
            Choice::Sandbox => {
                let pick = |mode: SandboxMode| {
                    let row = Row::new(mode.as_str(), sandbox_meaning(mode));
                    (row, change(SettingsOverrides { sandbox: Some(mode), ..none() }))
                };
                new("What commands may touch", SANDBOXES.map(pick).to_vec())
            }
            Choice::Approvals => {
                let pick = |policy: ApprovalPolicy| {
                    let row = Row::new(policy.as_str(), approval_meaning(policy));
                    (row, change(SettingsOverrides { approval: Some(policy), ..none() }))
                };
                new("When you are asked", APPROVALS.map(pick).to_vec())
            }
            Choice::Theme => {
                let pick = |theme: ThemeName| (Row::new(theme.as_str(), ""), Some(Picked::Theme(theme)));
                new("Colours, until you leave", ThemeName::ALL.map(pick).to_vec())
            }
            Choice::History => {
                let pick = |text: &String| {
                    let row = Row::new(escape::short_line(text.trim(), 150), "");
                    (row, Some(Picked::Text(text.clone())))
                };
                new("What was sent before", history.iter().rev().map(pick).collect())
            }
            Choice::Session | Choice::Beside => {
                let purpose = if choice == Choice::Beside { Purpose::ShowBeside } else { Purpose::GoThere };
                let browser = Some(Browser::new(purpose));
                let refresh_at = Some(Timestamp(now.0 + REFRESH_MS));
                Self { refresh_at, browser, ..new("Sessions", Vec::new()).loading() }
            }
        }
    }

    fn new(
        choice: Choice,
        title: impl Into<Cow<'static, str>>,
        picks: Vec<Pick>,
        listens_at: Timestamp,
    ) -> Self {
        let (rows, picks) = picks.into_iter().unzip();
        Self {
            title: title.into(),
            keys: "↑ ↓ moves · Enter chooses · Esc closes",
            list: List::new(rows),
            filter: String::new(),
            picks,
            choice,
            browser: None,
            written: None,
            mentions: Vec::new(),
            is_loading: false,
            refresh_at: None,
            listens_at,
        }
    }

    /// Begins at what holds already, so that Enter alone changes nothing.
    pub(crate) fn begin_at(&mut self, holds: impl Fn(&Picked) -> bool) {
        if let Some(at) = self.picks.iter().position(|picked| picked.as_ref().is_some_and(&holds)) {
            self.list.begin_at(at);
        }
    }

    fn loading(self) -> Self {
        Self { is_loading: true, ..self }
    }

    /// For what waits for its turn, the next one first.
    pub(crate) fn of_queue(queued: Vec<(QueuedId, String)>, now: Timestamp) -> Self {
        let pick = |(id, text): (QueuedId, String)| {
            (Row::new(escape::short_line(text.trim(), 150), ""), Some(Picked::Queued(id, text)))
        };
        let picks = queued.into_iter().map(pick).collect();
        Self::new(Choice::Queued, "What waits for its turn", picks, now)
    }

    /// The ways back to a place.
    pub(crate) fn of_ways(place: &Place, result: &RewindResult, now: Timestamp) -> Self {
        let (headline, ways) = rewinding::ways(place, result);
        let picks = ways.into_iter().map(|(row, way)| (row, Some(Picked::Way(way)))).collect();
        Self::new(Choice::Way, headline, picks, now)
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
        let pick = |(name, file): (&str, PathBuf)| {
            (Row::new(name, file.to_string_lossy()), Some(Picked::Lesson(Some(file), line.to_owned())))
        };
        let mut picks: Vec<Pick> = std::iter::once(project).chain(own).map(pick).collect();
        let none = Some(Picked::Lesson(None, text.to_owned()));
        picks.push((Row::new("none: say it to the agent", ""), none));
        let title = format!("Where is this added? {}", escape::short_line(line, 200));
        Self { written: Some(text.to_owned()), ..Self::new(Choice::Lesson, title, picks, now) }
    }

    /// The files of instructions that hold in a folder, and those that could.
    pub(crate) fn of_instructions(cwd: &Path, settings: Option<&Path>, now: Timestamp) -> Self {
        let pick = |(file, size): (PathBuf, Option<u64>)| {
            let detail = match size {
                Some(bytes) => format!("{} bytes", words::thousands(bytes)),
                None => "is not there yet".to_owned(),
            };
            (Row::new(file.to_string_lossy(), detail), Some(Picked::Open(file)))
        };
        let picks = lesson::files(cwd, settings).into_iter().map(pick).collect();
        let title =
            "What the agent is told of this folder when a session begins; Enter opens it in your editor";
        Self::new(Choice::Instructions, title, picks, now)
    }

    /// What was written before it came, and is not lost if nothing is chosen.
    pub(crate) fn written(&self) -> Option<&str> {
        self.written.as_deref()
    }

    /// Which sessions it lists, if it does.
    pub(crate) fn listing(&self) -> Option<Listing> {
        self.browser.as_ref().map(|browser| browser.listing)
    }

    /// Whether it asks what becomes of a plan.
    pub(crate) fn is_of_plan(&self) -> bool {
        self.choice == Choice::Plan
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

    /// The rows of a choice came; they are for another list if that is not the one.
    pub(crate) fn fill(&mut self, choice: Choice, picks: Vec<Pick>) {
        if self.choice != choice {
            return;
        }
        let rows;
        (rows, self.picks) = picks.into_iter().unzip();
        self.list = List::new(rows);
        self.list.filter(&self.filter);
        self.is_loading = false;
    }

    /// Skills came.
    pub(crate) fn set_skills(&mut self, skills: &[Skill]) {
        if self.choice == Choice::Skill {
            let mention = |skill: &Skill| skill.state.is_usable().then(|| skill.name.clone());
            self.mentions = skills.iter().map(mention).collect();
            self.fill(Choice::Skill, skills.iter().map(skill_row).collect());
        }
    }

    /// Turns came.
    pub(crate) fn set_places(&mut self, snapshot: &SessionSnapshot, now: Timestamp) {
        let places = rewinding::places(snapshot, now).into_iter();
        self.fill(Choice::Turn, places.map(|(row, place)| (row, Some(Picked::Place(place)))).collect());
        let forks = rewinding::forks(snapshot, now).into_iter();
        self.fill(Choice::Output, output_rows(snapshot));
        self.fill(Choice::Fork, forks.map(|(row, turn)| (row, Some(Picked::Fork(turn)))).collect());
    }

    /// Models came; `settings` are those of the session that is shown.
    pub(crate) fn set_models(&mut self, listed: ModelListResult, settings: Option<&SessionSettings>) {
        let pick = |(row, model): (Row, Option<(String, String)>)| {
            let change = model.map(|(provider, model)| {
                let values = vec![SettingOverride::text("model_provider", &provider)];
                let change = SettingsOverrides { values, model: Some(model), ..SettingsOverrides::default() };
                Picked::Change(Box::new(change))
            });
            (row, change)
        };
        self.fill(Choice::Model, model_rows(listed, settings).into_iter().map(pick).collect());
    }

    /// Accounts came.
    pub(crate) fn set_accounts(&mut self, accounts: Vec<Account>) {
        let pick = |account: Account| (account_row(&account), Some(Picked::SignIn(account.provider)));
        self.fill(Choice::Account, accounts.into_iter().map(pick).collect());
    }

    /// Sessions came; `own` is the one that is shown already, and `seen` is how far others were seen.
    pub(crate) fn set_sessions(
        &mut self,
        listed: Vec<SessionSummary>,
        own: Option<SessionId>,
        seen: &HashMap<SessionId, Seq>,
        now: Timestamp,
    ) {
        let Some(browser) = &mut self.browser else { return };
        let chosen = self.list.chosen().and_then(|at| browser.id(at));
        let purpose = browser.purpose();
        let pick = |session: &SessionSummary| {
            let picked = match purpose {
                Purpose::GoThere => Picked::Session(session.id),
                Purpose::ShowBeside => Picked::Beside(session.id),
            };
            (session_row(session, own, seen, now), Some(picked))
        };
        let picks = listed.iter().map(pick).collect();
        // The one that is shown already is the last that somebody wants to go to.
        let first = listed.iter().position(|session| Some(session.id) != own).filter(|_| self.is_loading);
        let at = listed.iter().position(|session| Some(session.id) == chosen).or(first);
        browser.set(listed);
        self.fill(self.choice, picks);
        if let Some(at) = at {
            self.list.choose(at);
        }
        self.refresh_at = Some(Timestamp(now.0 + REFRESH_MS));
    }

    /// Agents came; `own` is the session that is shown. They are asked for again in a while, as long as they are shown.
    pub(crate) fn set_agents(&mut self, agents: &[AgentNode], own: Option<SessionId>, now: Timestamp) {
        if self.choice != Choice::Agent {
            return;
        }
        let chosen = self.list.chosen().filter(|_| !self.is_loading);
        self.fill(Choice::Agent, agents.iter().map(|node| agent_row(node, own)).collect());
        if let Some(at) = chosen {
            self.list.choose(at);
        }
        self.refresh_at = Some(Timestamp(now.0 + REFRESH_MS));
    }

    /// The session of which more is to be read, to be shown below the list.
    pub(crate) fn peek(&mut self) -> Option<SessionId> {
        self.browser.as_mut()?.peek(self.list.chosen()?)
    }

    /// More of a session was read, or could not be.
    pub(crate) fn set_preview(&mut self, session: SessionId, read: Option<&SessionSnapshot>) {
        if let Some(browser) = &mut self.browser {
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
        if let Some(browser) = &mut self.browser
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
            KeyCode::Tab => return self.mentioned(),
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
        let picked = self.list.chosen().and_then(|at| self.picks.get(at));
        picked.cloned().flatten().unwrap_or(Picked::Nothing)
    }

    /// What goes along with what is written, if what is chosen can.
    fn mentioned(&self) -> Picked {
        match self.list.chosen().and_then(|at| self.mentions.get(at)) {
            Some(Some(name)) => Picked::Skill(name.clone()),
            Some(None) | None => Picked::Nothing,
        }
    }

    /// The list in at most so many lines; the line to look for something is the last but one.
    pub(crate) fn lines(&self, width: u16, most: usize, theme: &Theme) -> Vec<Line<'static>> {
        let room = usize::from(width);
        let scope = self.listing().map_or("", Listing::as_str);
        let below = match (&self.browser, self.list.chosen()) {
            (Some(browser), Some(at)) => browser.lines(at, width, most.saturating_sub(4) / 2, theme),
            (Some(_), None) | (None, _) => Vec::new(),
        };
        let mut lines = Vec::new();
        if most > 4 {
            let title = fit(&format!("{}{scope}", self.title), room);
            lines.push(Line::from(Span::styled(title, theme.accent.patch(theme.strong))));
        }
        if self.list.is_empty() {
            let text = match (self.is_loading, self.picks.is_empty()) {
                (true, _) => "  reading",
                (false, true) => "  there is none",
                (false, false) => "  nothing fits",
            };
            lines.push(Line::from(Span::styled(fit(text, room), theme.dim)));
        } else {
            lines.extend(self.list.lines(width, most.saturating_sub(3 + below.len()).max(1), theme));
        }
        lines.extend(below);
        let (mark, written) = match &self.browser {
            Some(Browser { renaming: Some((_, title)), .. }) => ("title: ", title),
            Some(_) | None => ("/ ", &self.filter),
        };
        let written = escape::line(written).into_owned();
        lines.push(Line::from(vec![Span::styled(mark, theme.accent), Span::styled(written, theme.text)]));
        if most > 3 {
            let keys = self.browser.as_ref().map_or(self.keys, Browser::keys);
            lines.push(Line::from(Span::styled(fit(&format!("  {keys}"), room), theme.dim)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use protocol::account::Credential;
    use protocol::catalogue::{Model, ModelChoice, ModelFacts, ProviderModels, ProviderState};

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
        let mut picker = Picker::of(Choice::Permissions, &[], &[], NOW);
        for letter in "strict".chars() {
            key(&mut picker, KeyCode::Char(letter));
        }
        let Picked::Change(change) = key(&mut picker, KeyCode::Enter) else { panic!("nothing") };
        assert_eq!((change.sandbox, change.permissions.as_deref()), (None, Some("strict")));
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
    fn the_model_in_use_is_shown_where_nobody_lists_it() {
        let mut picker = Picker::of(Choice::Model, &[], &[], NOW);
        let listed = ModelListResult { choice: ModelChoice::default(), providers: Vec::new() };
        picker.set_models(listed, Some(&session("x").summary.settings));
        assert!(
            shown(&picker).contains("m-1") && shown(&picker).contains("now · local"),
            "{}",
            shown(&picker)
        );
    }

    #[test]
    fn who_signs_in_chooses_whom_with() {
        let mut picker = Picker::of(Choice::Account, &[], &[], NOW);
        let account = |name: &str, has_sign_in, credential| Account {
            provider: name.to_lowercase(),
            name: name.to_owned(),
            has_sign_in,
            credential,
        };
        let variable = "KEY\u{1b}[2J".to_owned();
        picker.set_accounts(vec![
            account("ChatGPT", true, None),
            account("OpenAI", false, Some(Credential::Environment { variable })),
        ]);
        let text = shown(&picker);
        assert!(text.contains("signs in, in a browser · chatgpt"), "{text}");
        assert!(text.contains("now the key in KEY\\e[2J · stores a key · openai"), "{text}");
        key(&mut picker, KeyCode::Down);
        assert_eq!(key(&mut picker, KeyCode::Enter), Picked::SignIn("openai".to_owned()));
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
        // It begins at the first that is not here.
        picker.set_sessions(vec![named("new"), one, two.clone()], None, &HashMap::new(), NOW);
        assert_eq!(key(&mut picker, KeyCode::Enter), Picked::Session(two.id));
        let Picked::List(listing) = key(&mut picker, KeyCode::Tab) else { panic!("nothing") };
        assert_eq!(listing.scope, Scope::Everywhere);
    }
}
