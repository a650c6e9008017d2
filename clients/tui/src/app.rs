//! The state of the screen, and what keys and news do to it. Pure: the clock comes from the owner, calls go back to
//! it.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;

use client::ClientError;
use protocol::daemon::RateLimit;
use protocol::hook::HookListResult;
use protocol::ids::{ClientId, Seq, SessionId, Timestamp};
use protocol::mcp::{McpPrompt, McpResourcesResult};
use protocol::session::{SessionSummary, SettingsOverrides};
use protocol::skill::Skill;
use ratatui::text::Line;
use view::{Activity, Block, View, escape};

use crate::attention::Focus;
use crate::beside::Beside;
use crate::blocks::{Detail, Pen, can_fold, has_code};
use crate::browser::{Listing, Scope};
use crate::completion::Completion;
use crate::composer::Composer;
use crate::dialog::Dialog;
use crate::fullscreen::Fullscreen;
use crate::help;
use crate::highlight::Syntaxes;
use crate::image::Said;
use crate::link::Call;
use crate::mentions::Absent;
use crate::modes::{Before, SessionMode};
use crate::pager::Pager;
use crate::picker::Picker;
use crate::prompts::AskedPrompt;
use crate::run::{Mode, SessionChoice};
use crate::settings::Settings;
use crate::theme::{Theme, ThemeName};
use crate::vim::Vim;
use crate::visit::Visit;

/// How long a notice is shown.
const NOTICE_MS: u64 = 8000;
/// How often prompts of MCP servers are asked for, while one of them is being started.
pub(crate) const PROMPTS_EVERY_MS: u64 = 500;

/// The state of the screen.
pub(crate) struct App {
    pub(crate) theme: Theme,
    pub(crate) settings: Settings,
    pub(crate) mode: Mode,
    pub(crate) view: View,
    pub(crate) composer: Composer,
    pub(crate) dialog: Option<Dialog>,
    pub(crate) completion: Option<Completion>,
    /// The word whose completion was closed: where it begins.
    pub(crate) closed_completion: Option<usize>,
    /// The number of the last question for files.
    pub(crate) files_asked: u64,
    pub(crate) picker: Option<Picker>,
    pub(crate) pager: Option<Pager>,
    pub(crate) notice: Option<Notice>,
    /// Lines of ours that go into the scrollback.
    pub(crate) asides: Vec<Aside>,
    /// What is finished and not in the scrollback yet: its code waits for its colours.
    pub(crate) held: VecDeque<Block>,
    /// The last row of what is finished, if what is under way goes on in it.
    pub(crate) open_row: Option<Line<'static>>,
    pub(crate) syntaxes: Syntaxes,
    /// What is to be done beside the calls.
    pub(crate) chores: Vec<Chore>,
    /// Who we are on the connection of this moment.
    pub(crate) own: Option<ClientId>,
    pub(crate) focus: Focus,
    /// What the daemon was told of it last, on which connection.
    pub(crate) told_focus: Option<(ClientId, bool)>,
    /// What the agent said last, as a whole.
    pub(crate) last_message: Option<String>,
    /// What held before the mode that the session is in, where it is known.
    pub(crate) before_mode: Option<Before>,
    /// The mode that was asked for, or none, until that is answered.
    pub(crate) wanted_mode: Option<Option<usize>>,
    /// The last plan.
    pub(crate) plan: Option<String>,
    /// Whether the editor has the plan, and not what is being written.
    pub(crate) is_plan_edited: bool,
    /// What was said, where all of the terminal is taken.
    pub(crate) full: Option<Fullscreen>,
    /// How much is shown of long things.
    pub(crate) detail: Detail,
    /// What went into the scrollback folded last.
    pub(crate) last_folded: Option<Block>,
    /// Prompts of MCP servers, as far as they are known.
    pub(crate) prompts: Vec<McpPrompt>,
    /// When to ask for them again, since a server that may have some is being started.
    pub(crate) prompts_at: Option<Timestamp>,
    /// Calls about the session's folder, which is not known yet.
    unplaced: Vec<fn(PathBuf) -> Call>,
    /// What a server wants to know before it says its prompt.
    pub(crate) asked_prompt: Option<AskedPrompt>,
    /// What MCP servers have to read, as far as it is known.
    pub(crate) resources: McpResourcesResult,
    /// When to ask for it again, since a server that may have some is being started.
    pub(crate) resources_at: Option<Timestamp>,
    /// Skills of the folder and of the person, as far as they are known.
    pub(crate) skills: Vec<Skill>,
    /// The session that is shown beside this one.
    pub(crate) beside: Option<Beside>,
    /// How far other sessions were seen.
    pub(crate) seen: HashMap<SessionId, Seq>,
    /// How the text is written, for who writes as in vi.
    pub(crate) vim: Option<Vim>,
    pub(crate) branch: Option<String>,
    /// Whether what the status line tells of the world outside may have changed.
    pub(crate) is_outside_changed: bool,
    /// What the program of the status line said last.
    pub(crate) script_says: Option<String>,
    pub(crate) last_escape: Timestamp,
    pub(crate) last_key: Timestamp,
    /// Until when another Ctrl+C leaves.
    pub(crate) leaves_until: Timestamp,
    /// Whether a turn was asked for that did not begin yet.
    pub(crate) is_starting: bool,
    /// Whether the running turn was asked to stop.
    pub(crate) is_stopping: bool,
    /// What was asked for when the program was started; it holds for each new session.
    pub(crate) asked_at_start: SettingsOverrides,
    /// Whether the session was put away from here.
    pub(crate) is_put_away: bool,
    /// Why the session can't be followed any more.
    pub(crate) ended: Option<ClientError>,
}

/// Something to know for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) text: String,
    pub(crate) tone: Tone,
    pub(crate) until: Timestamp,
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Calm,
    Bad,
}

/// What goes into the scrollback beside the session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Aside {
    Help,
    Keys,
    Status,
    /// What is wrong, or not used, and stays to be read.
    Warned(Vec<String>),
    /// What the line at the bottom may hold.
    Fields,
    Tip(&'static str),
    /// Where a plan is kept.
    PlanKept(PathBuf),
    /// All of what was folded before.
    Unfolded(Box<Block>),
    /// What a report of a bug has in it.
    Report(String),
    Hooks(Box<HookListResult>),
    /// The session's commands in the background, and the sessions that run, as of a time.
    Jobs(Vec<SessionSummary>, Timestamp),
    /// What the session's provider still lets be asked of it, as of a time.
    Limits(Vec<RateLimit>, Timestamp),
}

/// What the owner is to do now.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    Call(Call),
    Leave,
    /// Leaves this session for another one, where this is said first.
    Switch(SessionChoice, Option<String>),
    /// Shows this session beside, or none any more.
    Beside(Option<SessionId>),
    /// Lets another program have the terminal.
    Visit(Box<Visit>),
    /// Lets the person write on in their editor.
    Edit,
    /// Opens a file in their editor.
    Open(PathBuf),
    /// Stops this process as the shell does.
    Suspend,
    /// Draws everything anew.
    Redraw,
}

/// What the owner is to do when it can.
#[derive(Debug, PartialEq)]
pub(crate) enum Chore {
    /// Calls the person, and says why.
    Ring(String),
    /// Remembers what was sent.
    Remember(String),
    /// Finds files.
    Find { number: u64, text: String },
    /// Puts a text into the clipboard.
    Copy(String),
    /// Makes a call before what else is to be done.
    Call(Call),
    /// Reads an image that goes along with what is written; the text is what was pasted.
    Attach(PathBuf, String),
    /// Keeps what held before the session's mode.
    KeepBefore(Before),
    /// Keeps a plan of the session.
    KeepPlan(String),
    /// Adds a line to an instruction file.
    Learn(PathBuf, String),
    /// Lets the image in the clipboard go along with what is written.
    PasteImage,
}

impl App {
    /// A screen that knows nothing yet.
    pub(crate) fn new(mode: Mode, theme: Theme, settings: Settings) -> Self {
        let full = settings.is_fullscreen.then(Fullscreen::default);
        let vim = settings.has_vim.then(Vim::default);
        let view = View::naming(settings.modes.iter().map(SessionMode::named).collect());
        let syntaxes = if theme.name == ThemeName::None { Syntaxes::Off } else { Syntaxes::Absent };
        Self {
            theme,
            settings,
            mode,
            view,
            composer: Composer::default(),
            dialog: None,
            completion: None,
            closed_completion: None,
            files_asked: 0,
            picker: None,
            pager: None,
            notice: None,
            asides: Vec::new(),
            held: VecDeque::new(),
            open_row: None,
            syntaxes,
            chores: Vec::new(),
            own: None,
            focus: Focus::Unknown,
            told_focus: None,
            last_message: None,
            before_mode: None,
            wanted_mode: None,
            plan: None,
            is_plan_edited: false,
            full,
            detail: Detail::Folded,
            last_folded: None,
            prompts: Vec::new(),
            prompts_at: None,
            unplaced: Vec::new(),
            asked_prompt: None,
            resources: McpResourcesResult::default(),
            resources_at: None,
            skills: Vec::new(),
            beside: None,
            seen: HashMap::new(),
            vim,
            branch: None,
            is_outside_changed: false,
            script_says: None,
            last_escape: Timestamp(0),
            last_key: Timestamp(0),
            leaves_until: Timestamp(0),
            is_starting: false,
            is_stopping: false,
            asked_at_start: SettingsOverrides::default(),
            is_put_away: false,
            ended: None,
        }
    }

    /// The session's folder.
    pub(crate) fn cwd(&self) -> PathBuf {
        self.view.status().settings.as_ref().map(|settings| settings.cwd.clone()).unwrap_or_default()
    }

    /// Why it ended by itself, if it did.
    pub(crate) fn into_error(self) -> Option<ClientError> {
        self.ended
    }

    /// Whether a turn is under way, or will be in a moment.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_starting || self.view.status().activity.turn().is_some()
    }

    /// When the screen changes by itself next.
    pub(crate) fn wakes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let next_second = |since: Timestamp| Timestamp(now.0 + 1000 - now.since(since) % 1000);
        let clock = match self.view.status().activity {
            Activity::Running { since, .. } => Some(next_second(since)),
            Activity::Idle
            | Activity::Waiting { .. }
            | Activity::Suspended { .. }
            | Activity::Archived
            | Activity::Damaged => None,
        };
        let notice = self.notice.as_ref().map(|notice| notice.until);
        let dialog = self.dialog.as_ref().and_then(|dialog| dialog.listens_at(now));
        let picker = self.picker.as_ref().and_then(|picker| picker.wakes_at());
        let prompts = self.prompts_at.filter(|_| self.wants_prompts());
        let resources = self.resources_at.filter(|_| self.is_mentioning());
        [clock, notice, dialog, picker, prompts, resources].into_iter().flatten().min()
    }

    /// Forgets what is over by now, and asks for what is to be seen anew.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Option<Effect> {
        if self.notice.as_ref().is_some_and(|notice| notice.until <= now) {
            self.notice = None;
        }
        if self.wants_prompts() && self.prompts_at.take_if(|at| *at <= now).is_some() {
            self.ask_of_folder(Call::Prompts);
        }
        if self.is_mentioning() && self.resources_at.take_if(|at| *at <= now).is_some() {
            self.ask_resources(Absent::Left);
        }
        let picker = self.picker.as_mut()?;
        picker.refresh_at.take_if(|at| *at <= now)?;
        match picker.listing() {
            Some(listing) => Some(self.list(listing)),
            None => Some(Effect::Call(Call::Agents)),
        }
    }

    /// Makes a call about the session's folder, as soon as that is known: keys may be quicker than the first news.
    pub(crate) fn ask_of_folder(&mut self, call: fn(PathBuf) -> Call) {
        match &self.view.status().settings {
            Some(settings) => self.chores.push(Chore::Call(call(settings.cwd.clone()))),
            None => self.unplaced.push(call),
        }
    }

    /// Makes the calls that waited for the session's folder.
    pub(crate) fn ask_unplaced(&mut self) {
        if self.view.status().settings.is_some() {
            for call in std::mem::take(&mut self.unplaced) {
                self.ask_of_folder(call);
            }
        }
    }

    /// A command is being written, which could be a prompt of an MCP server.
    fn wants_prompts(&self) -> bool {
        self.composer.text().starts_with('/')
    }

    /// Asks for sessions.
    pub(crate) fn list(&self, listing: Listing) -> Effect {
        let folder = match listing.scope {
            Scope::ThisFolder => Some(self.cwd()),
            Scope::Everywhere => None,
        };
        Effect::Call(Call::Sessions(folder, listing.archived))
    }

    /// Says something for a while.
    pub(crate) fn notify(&mut self, tone: Tone, text: impl Into<String>, now: Timestamp) {
        self.notice = Some(Notice { text: text.into(), tone, until: Timestamp(now.0 + NOTICE_MS) });
    }

    /// Sends what a person said, as a turn or into the one that runs.
    pub(crate) fn say(&mut self, said: impl Into<Said>) -> Effect {
        let said = said.into();
        if let Some(full) = &mut self.full {
            full.show_end();
        }
        self.chores.push(Chore::Remember(said.text.clone()));
        if self.is_busy() {
            return Effect::Call(Call::Steer(said));
        }
        self.is_starting = true;
        Effect::Call(Call::Start(said))
    }

    /// The terminal's window has the focus now, or lost it.
    pub(crate) fn set_focus(&mut self, focus: Focus) -> Option<Effect> {
        self.focus = focus;
        self.tell_focus()
    }

    /// What the daemon is to be told of the focus, if it does not know.
    pub(crate) fn tell_focus(&mut self) -> Option<Effect> {
        let own = self.own?;
        let is_focused = self.focus == Focus::Here;
        // Until it is told of a client, it takes the focus to be elsewhere.
        let known = self.told_focus.filter(|(client, _)| *client == own).is_some_and(|(_, told)| told);
        if known == is_focused {
            return None;
        }
        self.told_focus = Some((own, is_focused));
        Some(Effect::Call(Call::Focus(is_focused)))
    }

    /// Whether something on the screen waits for the definitions of code.
    pub(crate) fn wants_syntaxes(&self) -> bool {
        let is_shown = || {
            self.held.iter().chain(self.view.live()).any(has_code)
                || self.pager.as_ref().is_some_and(Pager::has_code)
        };
        matches!(self.syntaxes, Syntaxes::Absent) && is_shown()
    }

    /// The definitions of code are there.
    pub(crate) fn set_syntaxes(&mut self, syntaxes: Syntaxes) {
        self.syntaxes = syntaxes;
        if let Some(full) = &mut self.full {
            full.redraw();
        }
        if let Some(beside) = &mut self.beside {
            beside.redraw();
        }
        if let Some(pager) = &mut self.pager {
            pager.redraw();
        }
    }

    /// Shows all of what is folded, where it stands, or folds it again; what is in the scrollback already comes once
    /// more.
    pub(crate) fn unfold(&mut self, now: Timestamp) {
        if let Some(full) = &mut self.full {
            self.detail = self.detail.other();
            full.redraw();
        } else if self.view.live().any(can_fold) {
            self.detail = self.detail.other();
        } else {
            self.detail = Detail::Folded;
            match self.last_folded.take() {
                Some(block) => self.asides.push(Aside::Unfolded(Box::new(block))),
                None => self.notify(Tone::Calm, "nothing is folded; Ctrl+T shows the whole session", now),
            }
        }
    }

    /// Calls the person, unless they look.
    pub(crate) fn ring(&mut self, text: String) {
        if self.settings.has_notifications && self.focus != Focus::Here {
            self.chores.push(Chore::Ring(text));
        }
    }

    /// The text that is being written: a reply to a question, or an input.
    pub(crate) fn writing(&mut self) -> &mut Composer {
        match &mut self.dialog {
            Some(Dialog { reply: Some(reply), .. }) => reply,
            Some(_) | None => &mut self.composer,
        }
    }

    /// Asks the running turn to stop, once.
    pub(crate) fn interrupt(&mut self) -> Option<Effect> {
        let turn = self.view.status().activity.turn().filter(|_| !self.is_stopping)?;
        self.is_stopping = true;
        Some(Effect::Call(Call::Interrupt(turn)))
    }

    /// The lines of what a command shows.
    pub(crate) fn aside(&self, aside: Aside, width: u16) -> Vec<Line<'static>> {
        match aside {
            Aside::Help => help::help(&self.settings.commands, &self.settings.keymap, width, &self.theme),
            Aside::Keys => help::keys(&self.settings.keymap, width, &self.theme),
            Aside::PlanKept(file) => {
                let text = format!("the plan is kept in {}", file.display());
                help::tip(&escape::line(&text), width, &self.theme)
            }
            Aside::Warned(warnings) => help::warned(&warnings, width, &self.theme),
            Aside::Tip(tip) => help::tip(tip, width, &self.theme),
            Aside::Fields => help::fields(&self.settings.status_line, width, &self.theme),
            Aside::Unfolded(block) => {
                let cwd = self.cwd();
                let (theme, syntaxes) = (&self.theme, &self.syntaxes);
                Pen { theme, width, detail: Detail::Full, syntaxes, cwd: &cwd }.block(&block)
            }
            Aside::Limits(limits, now) => help::limits(&limits, now, width, &self.theme),
            Aside::Jobs(sessions, now) => {
                let own = self.view.status();
                help::jobs(&own.presence.background, own.session, &sessions, now, width, &self.theme)
            }
            Aside::Hooks(listed) => help::hooks(&listed, width, &self.theme),
            Aside::Report(text) => help::report(&text, width, &self.theme),
            Aside::Status => {
                help::status(self.view.status(), self.branch.as_deref(), self.own, width, &self.theme)
            }
        }
    }
}

#[cfg(test)]
mod lookups;
#[cfg(test)]
mod tests;
