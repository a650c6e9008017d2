//! From the first frame to the last: the terminal, the session and the clock on one thread. Draws when something
//! changed, at once after a key and else at most once in 16 ms, and sleeps otherwise.

use std::io::{self, Stdout, Write};
use std::pin::{Pin, pin};
use std::time::Duration;

use base64::Engine;
use client::{Attached, ConnectOptions, Connection};
use crossterm::event::{Event, KeyEvent, KeyEventKind};
use futures_util::FutureExt;
use protocol::ids::{SessionId, Timestamp};
use protocol::session::SettingsOverrides;
use ratatui::layout::{Position, Size};
use ratatui::text::Line;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::app::{App, Aside, Chore, Effect, Tone};
use crate::attention::{Bell, Focus};
use crate::beside::{self, Beside};
use crate::clipboard;
use crate::clock::Clock;
use crate::editor;
use crate::error::TuiError;
use crate::files::Finder;
use crate::help;
use crate::highlight::Syntaxes;
use crate::hyperlink::Hyperlinks;
use crate::image::Image;
use crate::lesson;
use crate::link::{News, follow};
use crate::memory::Memory;
use crate::pane::Pane;
use crate::run::{Mode, SessionChoice, TuiOptions};
use crate::scene::{
    Followed, Parting, Scene, next_beside, next_found, next_loaded, next_pasted, next_said, open,
};
use crate::screen::{Reflow, Screen};
use crate::settings::Settings;
use crate::signals::{Keys, Signals};
use crate::status_script::StatusScript;
use crate::terminal::{self, Terminal};
use crate::theme::Theme;
use crate::tips;

/// What stands below what another program printed.
const GOES_BACK: &[u8] = b"\r\nany key goes back";
/// Between two frames.
const FRAME: Duration = Duration::from_millis(16);
/// How long what was asked for may take when the person leaves.
const PARTING_LIMIT: Duration = Duration::from_secs(2);
/// Calls that may wait; one more is given back to the person.
const WAITING_CALLS: usize = 16;
/// News that may wait for the screen; then the session's feed waits.
const WAITING_NEWS: usize = 64;

/// What outlives a session on the screen: the terminal, and what is known of it.
pub(crate) struct Stage {
    terminal: Terminal,
    screen: Screen<Stdout>,
    pane: Option<Pane<Stdout>>,
    hyperlinks: Hyperlinks,
    settings: Settings,
    mode: Mode,
    theme: Theme,
    bell: Bell,
    focus: Focus,
    memory: Memory,
    syntaxes: Syntaxes,
    /// The session that is shown beside the one that is written into, if there is one.
    beside: Option<SessionId>,
    connect: ConnectOptions,
    /// Keys that were typed before the first frame.
    typed: Vec<KeyEvent>,
}

impl Stage {
    /// Enters the terminal.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) fn set(
        settings: Settings,
        mode: Mode,
        memory: Memory,
        connect: ConnectOptions,
    ) -> Result<Self, TuiError> {
        let (mut terminal, answers) = Terminal::enter().map_err(TuiError::Terminal)?;
        if settings.is_fullscreen {
            terminal.watch_mouse().map_err(TuiError::Terminal)?;
        }
        let size = Terminal::size().map_err(TuiError::Terminal)?;
        let row = answers.cursor.map_or(size.height, |cursor| cursor.y + u16::from(cursor.x > 0));
        let hyperlinks = settings.hyperlinks.unwrap_or_else(Hyperlinks::of_environment);
        Ok(Self {
            terminal,
            screen: screen(size, row, hyperlinks),
            pane: None,
            hyperlinks,
            theme: Theme::for_process(settings.theme, answers.background),
            settings,
            mode,
            bell: Bell::of_environment(),
            // A terminal that can tell of its focus has it when somebody starts a program in it.
            focus: if answers.reports_focus { Focus::Here } else { Focus::Unknown },
            memory,
            syntaxes: Syntaxes::Absent,
            beside: None,
            connect,
            typed: answers.typed,
        })
    }

    /// Shows a session, and those that the person goes to from there.
    ///
    /// # Errors
    /// When the terminal is gone, or a session can't be reached or followed any more.
    pub(crate) async fn play(
        mut self,
        options: TuiOptions,
        connection: Connection,
        clock: Clock,
        mut wrong: Vec<String>,
    ) -> Result<(), TuiError> {
        let mut connection = Some(connection);
        let asked = match &options.session {
            SessionChoice::New(params) => params.overrides.clone(),
            SessionChoice::Existing(_) => SettingsOverrides::default(),
        };
        let mut choice = options.session;
        let mut prompt = options.prompt;
        let mut is_first = true;
        loop {
            let connection = match connection.take() {
                Some(connection) => connection,
                None => Connection::open(options.connect.clone()).await?,
            };
            let mut app = App::new(self.mode, self.theme.clone(), self.settings.clone());
            app.focus = self.focus;
            app.asked_at_start = asked.clone();
            if !matches!(app.syntaxes, Syntaxes::Off) {
                app.syntaxes = self.syntaxes.clone();
            }
            if is_first && self.settings.has_tips && self.mode == Mode::Drive {
                let tips = tips::all();
                let tip = tips.get(self.memory.next_tip(tips.len()));
                app.asides.extend(tip.map(|tip| Aside::Tip(tip)));
            }
            is_first = false;
            let opened = open(&mut app, connection, choice, self.mode).await?;
            if !wrong.is_empty() {
                app.asides.push(Aside::Warned(std::mem::take(&mut wrong)));
            }
            let parting = Box::pin(self.show(app, clock, opened, prompt.take())).await?;
            match parting {
                Parting::Leave => return Ok(()),
                Parting::Switch(next, text) => (choice, prompt) = (next, text),
            }
        }
    }

    async fn show(
        &mut self,
        mut app: App,
        clock: Clock,
        (attached, session): (Attached, SessionId),
        mut prompt: Option<String>,
    ) -> Result<Parting, TuiError> {
        let (calls, waiting) = mpsc::channel(WAITING_CALLS);
        let (tell, news) = mpsc::channel(WAITING_NEWS);
        let mut link = pin!(follow(attached, session, waiting, tell));
        let mut is_linked = true;
        let mut signals = Signals::listen();
        app.plan = self.memory.plan(session);
        app.before_mode = self.memory.before(session);
        app.seen = self.memory.seen();
        let drafts = self.memory.drafts(session);
        if !drafts.text().is_empty() {
            app.composer.set_text(drafts.text());
        }
        let mut scene = Scene {
            app,
            clock,
            session,
            calls,
            news,
            drafts,
            draft_at: None,
            finder: None,
            script: StatusScript::of(&self.settings.status_command),
            loading: None,
            pasting: None,
            beside_link: None,
            beside: String::new(),
            is_resized: false,
            settles_at: None,
            is_changed: true,
            is_pressed: false,
            is_behind: false,
            drawn: None,
        };
        self.show_beside(&mut scene, self.beside);
        let mut has_history = false;
        let parting = loop {
            let frame_at = scene.drawn.map_or_else(Instant::now, |drawn| drawn + FRAME);
            scene.settles_at.take_if(|at| *at <= Instant::now());
            if scene.draft_at.is_some_and(|at| at <= Instant::now()) {
                scene.keep_draft();
            }
            if scene.settles_at.is_some() {
                // The next frame waits.
            } else if scene.is_behind
                || (scene.is_changed && (scene.is_pressed || frame_at <= Instant::now()))
            {
                self.draw(&mut scene)?;
                if !has_history && self.settings.has_history {
                    // After the first frame, which does not need it.
                    scene.app.composer.precede_history(self.memory.history());
                    has_history = true;
                }
                for key in std::mem::take(&mut self.typed) {
                    let effect = scene.app.key(key, scene.clock.now());
                    scene.is_changed = true;
                    if let Some(Effect::Call(call)) = effect {
                        scene.hand_over(call);
                    }
                }
            }
            let wake = if scene.settles_at.is_some() {
                scene.settles_at
            } else if scene.is_behind {
                Some(Instant::now())
            } else if scene.is_changed {
                Some(scene.drawn.map_or_else(Instant::now, |drawn| drawn + FRAME))
            } else {
                scene.app.wakes_at(clock.now()).map(|at| clock.instant(at))
            };
            let wake = wake.into_iter().chain(scene.draft_at).min();
            let effect = tokio::select! {
                biased;
                event = self.terminal.next() => match event {
                    Some(Ok(event)) => {
                        if matches!(event, Event::Resize(..)) {
                            scene.resized();
                        }
                        scene.is_changed = true;
                        let is_written = matches!(event, Event::Key(_) | Event::Paste(_));
                        scene.is_pressed |= is_written;
                        let effect = input(&mut scene.app, event, clock.now());
                        if is_written {
                            scene.written();
                        }
                        effect
                    }
                    // The terminal is gone, and with it the person.
                    Some(Err(_)) | None => Some(Effect::Leave),
                },
                () = signals.told_to_go(Keys::Ours) => Some(Effect::Leave),
                () = &mut link, if is_linked => {
                    is_linked = false;
                    None
                }
                Some(news) = scene.news.recv(), if !scene.is_behind => {
                    scene.is_changed = true;
                    // What was called may have given something back to be written.
                    let is_told = matches!(news, News::Told(..));
                    let effect = scene.app.news(news, clock.now());
                    if is_told {
                        scene.written();
                    }
                    match prompt.take_if(|_| scene.app.view.status().session.is_some()) {
                        Some(prompt) => {
                            if let Some(Effect::Call(call)) = effect {
                                scene.hand_over(call);
                            }
                            Some(scene.app.say(prompt))
                        }
                        None => effect,
                    }
                }
                Some(found) = next_found(&mut scene.finder) => {
                    scene.is_changed = true;
                    scene.app.found(found);
                    None
                }
                news = next_beside(&mut scene.beside_link) => {
                    scene.is_changed = true;
                    scene.app.news_beside(news);
                    None
                }
                pasted = next_pasted(&mut scene.pasting) => {
                    scene.is_changed = true;
                    scene.app.pasted_image(pasted, clock.now());
                    None
                }
                said = next_said(&mut scene.script) => {
                    scene.is_changed = true;
                    scene.app.script_says = said;
                    None
                }
                Some(loaded) = next_loaded(&mut scene.loading) => {
                    scene.is_changed = true;
                    scene.app.set_syntaxes(loaded);
                    self.syntaxes = scene.app.syntaxes.clone();
                    None
                }
                () = until(wake) => {
                    scene.is_changed = true;
                    scene.app.tick(clock.now())
                }
            };
            self.do_chores(&mut scene);
            match effect {
                None => {}
                Some(Effect::Call(call)) => scene.hand_over(call),
                Some(Effect::Leave) => break Parting::Leave,
                Some(Effect::Switch(choice, text)) => {
                    // Who goes to the one beside has this one beside there.
                    if self.beside.is_some_and(|beside| choice == SessionChoice::Existing(beside)) {
                        self.beside = Some(session);
                    }
                    break Parting::Switch(choice, text);
                }
                Some(Effect::Beside(beside)) => self.show_beside(&mut scene, beside),
                Some(Effect::Redraw) => self.redraw(&mut scene)?,
                Some(Effect::Suspend) => {
                    self.give_away(&[])?;
                    terminal::suspend();
                    self.come_back(&mut scene)?;
                }
                Some(Effect::Edit) => {
                    self.give_away(&[])?;
                    let text = scene.app.edited_text();
                    let edited =
                        meanwhile(editor::edit(&text), &mut scene, &mut link, &mut is_linked, &mut signals);
                    let Some(edited) = edited.await else { break Parting::Leave };
                    self.come_back(&mut scene)?;
                    match edited {
                        Ok(text) => {
                            scene.app.edited(&text, clock.now());
                            scene.written();
                        }
                        Err(error) => scene.app.notify(Tone::Bad, error, clock.now()),
                    }
                }
                Some(Effect::Open(file)) => {
                    self.give_away(&[])?;
                    let opened =
                        meanwhile(editor::open(&file), &mut scene, &mut link, &mut is_linked, &mut signals);
                    let Some(opened) = opened.await else { break Parting::Leave };
                    self.come_back(&mut scene)?;
                    let text = "what changed in it is told to sessions that begin from now on";
                    match opened {
                        Ok(()) => scene.app.notify(Tone::Calm, text, clock.now()),
                        Err(error) => scene.app.notify(Tone::Bad, error, clock.now()),
                    }
                }
                Some(Effect::Visit(visit)) => {
                    let said = help::visit(&visit.title, self.screen.size().width, &self.theme);
                    self.give_away(&said)?;
                    let ended = meanwhile(visit.run(), &mut scene, &mut link, &mut is_linked, &mut signals);
                    let Some(ended) = ended.await else { break Parting::Leave };
                    self.come_back(&mut scene)?;
                    if self.settings.is_fullscreen {
                        // What was printed is out of sight then.
                        let mut out = io::stdout();
                        out.write_all(GOES_BACK).and_then(|()| out.flush()).map_err(TuiError::Terminal)?;
                        let key = self.terminal.next();
                        let pressed = meanwhile(key, &mut scene, &mut link, &mut is_linked, &mut signals);
                        if pressed.await.is_none() {
                            break Parting::Leave;
                        }
                    }
                    scene.look_around();
                    scene.app.visited(ended, clock.now());
                }
            }
        };
        self.focus = scene.app.focus;
        self.theme = scene.app.theme.clone();
        scene.keep_draft();
        self.memory.see(session, scene.app.view.seq());
        self.leave_pane()?;
        let farewell = scene.farewell(self.screen.size(), &parting);
        // The terminal may be gone; then nobody reads this.
        let _gone = take_leave(&mut self.screen, &farewell);
        if matches!(parting, Parting::Leave) {
            self.terminal.give_away();
        }
        let Scene { app, calls, mut news, .. } = scene;
        drop(calls);
        if is_linked {
            let rest = async { while news.recv().await.is_some() {} };
            let parting = async { tokio::join!(link, rest) };
            // What takes longer is done by the daemon, or was never asked for.
            let _parted = tokio::time::timeout(PARTING_LIMIT, parting).await;
        }
        match app.into_error() {
            Some(error) => Err(error.into()),
            None => Ok(parting),
        }
    }

    fn draw(&mut self, scene: &mut Scene) -> Result<(), TuiError> {
        scene.is_behind = false;
        if scene.app.pager.is_some() {
            let size = Terminal::size().map_err(TuiError::Terminal)?;
            let pane = match &mut self.pane {
                Some(pane) => pane,
                None => {
                    self.pane.insert(Pane::enter(io::stdout(), self.hyperlinks).map_err(TuiError::Terminal)?)
                }
            };
            let App { pager, theme, syntaxes, .. } = &mut scene.app;
            if let Some(pager) = pager {
                let lines = pager.screen(size, theme, syntaxes);
                pane.draw(&lines, size, None).map_err(TuiError::Terminal)?;
            }
        } else if self.settings.is_fullscreen {
            scene.is_resized = false;
            let size = Terminal::size().map_err(TuiError::Terminal)?;
            let pane = match &mut self.pane {
                Some(pane) => pane,
                None => {
                    self.pane.insert(Pane::enter(io::stdout(), self.hyperlinks).map_err(TuiError::Terminal)?)
                }
            };
            let now = scene.clock.now();
            let halves = beside::halves(size.width).filter(|_| scene.app.beside.is_some());
            let left = halves.map_or(size.width, |(left, _)| left);
            let mut frame = scene.app.frame(Size::new(left, size.height), now);
            scene.is_behind = frame.has_more;
            if let Some((left, right)) = halves {
                let App { beside, theme, syntaxes, .. } = &mut scene.app;
                let size = Size::new(right, size.height);
                let lines = beside.as_mut().map(|beside| beside.lines(size, theme, syntaxes));
                frame.viewport = beside::join(frame.viewport, left, lines.unwrap_or_default(), theme);
            }
            pane.draw(&frame.viewport, size, Some(frame.cursor)).map_err(TuiError::Terminal)?;
        } else {
            self.pane = None;
            // The event of a new size may get lost, when a key comes in the same moment.
            let size = Terminal::size().map_err(TuiError::Terminal)?;
            let is_other = Size::new(size.width.max(1), size.height.max(1)) != self.screen.size();
            if is_other && !scene.is_resized {
                scene.resized();
                if scene.settles_at.is_some() {
                    return Ok(());
                }
            }
            if std::mem::take(&mut scene.is_resized) {
                let (size, cursor) = self.terminal.size_and_cursor().map_err(TuiError::Terminal)?;
                self.screen.resize(size, cursor);
            }
            let frame = scene.app.frame(self.screen.size(), scene.clock.now());
            scene.is_behind = frame.has_more;
            self.screen.draw(&frame.finished, &frame.viewport, frame.cursor).map_err(TuiError::Terminal)?;
        }
        if !scene.beside.is_empty() {
            let mut out = io::stdout();
            let beside = std::mem::take(&mut scene.beside);
            out.write_all(beside.as_bytes()).and_then(|()| out.flush()).map_err(TuiError::Terminal)?;
        }
        if scene.loading.is_none() && scene.app.wants_syntaxes() {
            scene.app.syntaxes = Syntaxes::Loading;
            scene.loading = Some(tokio::task::spawn_blocking(Syntaxes::load));
        }
        (scene.is_changed, scene.is_pressed, scene.drawn) = (false, false, Some(Instant::now()));
        Ok(())
    }

    /// Shows another session beside, or none any more.
    fn show_beside(&mut self, scene: &mut Scene, beside: Option<SessionId>) {
        let beside = beside.filter(|beside| *beside != scene.session && self.settings.is_fullscreen);
        self.beside = beside;
        scene.app.beside = beside.map(Beside::new);
        scene.beside_link = beside.map(|session| Followed::begin(self.connect.clone(), session));
        let is_narrow = Terminal::size().is_ok_and(|size| beside::halves(size.width).is_none());
        if beside.is_some() && is_narrow {
            let text = format!("two sessions are shown from {} columns on", beside::LEAST_WIDTH);
            scene.app.notify(Tone::Calm, text, scene.clock.now());
        }
    }

    fn do_chores(&self, scene: &mut Scene) {
        if std::mem::take(&mut scene.app.is_outside_changed) {
            scene.look_around();
        }
        for chore in std::mem::take(&mut scene.app.chores) {
            match chore {
                // What is already to be written says as much.
                Chore::Ring(text) => {
                    if !scene.beside.contains('\x07') {
                        scene.beside.push_str(&self.bell.sequence(&text));
                    }
                }
                Chore::Remember(text) => {
                    scene.app.composer.remember(&text);
                    if self.settings.has_history {
                        self.memory.remember(&text, scene.clock.now());
                    }
                }
                // Until it is known which folder that is.
                chore @ Chore::Find { .. } if scene.app.view.status().settings.is_none() => {
                    scene.app.chores.push(chore);
                }
                Chore::Find { number, text } => {
                    let folder = scene.app.cwd();
                    scene.finder.get_or_insert_with(|| Finder::of(folder)).ask(number, &text);
                }
                Chore::Attach(path, text) => {
                    scene.app.attach(Image::read(&path), &text, scene.clock.now());
                }
                Chore::PasteImage if scene.pasting.is_none() => {
                    scene.pasting = Some(Box::pin(clipboard::image()));
                }
                Chore::PasteImage => {}
                Chore::Learn(file, line) => {
                    scene.app.learned(&file, &line, lesson::add(&file, &line), scene.clock.now());
                }
                Chore::Call(call) => scene.hand_over(call),
                Chore::KeepBefore(before) => self.memory.keep_before(scene.session, &before),
                Chore::KeepPlan(text) => {
                    if let Some(file) = self.memory.keep_plan(scene.session, &text) {
                        scene.app.asides.push(Aside::PlanKept(file));
                    }
                }
                // OSC 52; understood by most terminals, also through SSH. There is no answer.
                Chore::Copy(text) => {
                    let text = base64::engine::general_purpose::STANDARD.encode(text);
                    scene.beside.push_str(&format!("\x1b]52;c;{text}\x07"));
                }
            }
        }
    }

    /// Draws everything that is on the screen anew.
    fn redraw(&mut self, scene: &mut Scene) -> Result<(), TuiError> {
        self.pane = None;
        self.screen.forget().map_err(TuiError::Terminal)?;
        scene.is_changed = true;
        Ok(())
    }

    /// Lets somebody else have the terminal, with the viewport gone from it, and says something before.
    fn give_away(&mut self, said: &[Line<'static>]) -> Result<(), TuiError> {
        self.leave_pane()?;
        take_leave(&mut self.screen, said).map_err(TuiError::Terminal)?;
        self.terminal.give_away();
        Ok(())
    }

    /// Shows what was there before all of the terminal was taken.
    fn leave_pane(&mut self) -> Result<(), TuiError> {
        self.pane = None;
        if self.settings.is_fullscreen {
            let (size, cursor) = self.terminal.size_and_cursor().map_err(TuiError::Terminal)?;
            let row = cursor.map_or(size.height, |cursor| cursor.y);
            self.screen = screen(size, row, self.hyperlinks);
        }
        Ok(())
    }

    fn come_back(&mut self, scene: &mut Scene) -> Result<(), TuiError> {
        self.terminal.come_back().map_err(TuiError::Terminal)?;
        let size = Terminal::size().map_err(TuiError::Terminal)?;
        let row = self.terminal.cursor().map_or(size.height, |cursor| cursor.y + u16::from(cursor.x > 0));
        self.screen = screen(size, row, self.hyperlinks);
        scene.is_changed = true;
        Ok(())
    }
}

/// A screen on this terminal that begins at a row.
fn screen(size: Size, row: u16, hyperlinks: Hyperlinks) -> Screen<Stdout> {
    Screen::new(io::stdout(), size, row, hyperlinks).breaking(Reflow::of_environment())
}

fn input(app: &mut App, event: Event, now: Timestamp) -> Option<Effect> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => app.key(key, now),
        Event::Paste(text) => {
            app.paste(&text, now);
            None
        }
        Event::FocusGained => app.set_focus(Focus::Here),
        Event::FocusLost => app.set_focus(Focus::Elsewhere),
        Event::Mouse(mouse) => {
            app.mouse(mouse, now);
            None
        }
        Event::Key(_) | Event::Resize(..) => None,
    }
}

fn take_leave(screen: &mut Screen<Stdout>, farewell: &[Line<'static>]) -> io::Result<()> {
    screen.draw(farewell, &[Line::default()], Position::ORIGIN)
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits for another program that has the terminal; the session goes on meanwhile, unseen. Absent if this process is to
/// end.
async fn meanwhile<T>(
    program: impl Future<Output = T>,
    scene: &mut Scene,
    link: &mut Pin<&mut impl Future<Output = ()>>,
    is_linked: &mut bool,
    signals: &mut Signals,
) -> Option<T> {
    let mut program = pin!(program);
    loop {
        tokio::select! {
            // First, so that the Ctrl+C that ended the program is not taken for one that is meant for this process.
            biased;
            () = signals.told_to_go(Keys::Theirs) => return None,
            ended = &mut program => {
                let is_over = signals.told_to_go(Keys::Theirs).now_or_never().is_some();
                return (!is_over).then_some(ended);
            }
            () = link.as_mut(), if *is_linked => *is_linked = false,
            Some(news) = scene.news.recv() => {
                if let Some(Effect::Call(call)) = scene.app.news(news, scene.clock.now()) {
                    scene.hand_over(call);
                }
            }
        }
    }
}
