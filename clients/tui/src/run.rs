//! From the first frame to the last: the terminal, the session and the clock on one thread. Draws when something
//! changed, at most once in 16 ms, and sleeps otherwise.

use std::io::{self, Stdout, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use client::{Attached, ConnectOptions, Connection};
use crossterm::event::{Event, KeyEvent, KeyEventKind};
use protocol::api::session::SessionClient;
use protocol::ids::{SessionId, Timestamp};
use protocol::session::SessionCreateParams;
use ratatui::layout::{Position, Size};
use ratatui::text::Line;
use syntect::parsing::SyntaxSet;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::app::{App, Aside, Chore, Effect, Tone};
use crate::attention::{Bell, Focus};
use crate::blocks::{Detail, Pen};
use crate::editor;
use crate::error::TuiError;
use crate::files::{Finder, Found};
use crate::highlight::Syntaxes;
use crate::link::{Call, News, follow};
use crate::memory::Memory;
use crate::pane::Pane;
use crate::screen::Screen;
use crate::settings::Settings;
use crate::terminal::{self, Terminal};
use crate::theme::Theme;
use crate::tips;

/// Between two frames.
const FRAME: Duration = Duration::from_millis(16);
/// How long what was asked for may take when the person leaves.
const PARTING_LIMIT: Duration = Duration::from_secs(2);
/// Calls that may wait; one more is given back to the person.
const WAITING_CALLS: usize = 16;
/// News that may wait for the screen; then the session's feed waits.
const WAITING_NEWS: usize = 64;

/// What is shown, and how.
#[derive(Clone, Debug)]
pub struct TuiOptions {
    /// The session.
    pub session: SessionChoice,
    /// What the person may do.
    pub mode: Mode,
    /// What is said first.
    pub prompt: Option<String>,
    /// How the daemon is reached.
    pub connect: ConnectOptions,
}

/// Which session is shown.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionChoice {
    /// A new one.
    New(Box<SessionCreateParams>),
    /// One that exists.
    Existing(SessionId),
}

/// What the person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    Drive,
    /// Look on.
    Watch,
}

/// Milliseconds since 1970 that never go back.
#[derive(Clone, Copy)]
struct Clock {
    begun: Instant,
    begun_at: u64,
}

impl Clock {
    fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { begun: Instant::now(), begun_at: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX) }
    }

    fn now(&self) -> Timestamp {
        let elapsed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.begun_at.saturating_add(elapsed))
    }

    fn instant(&self, at: Timestamp) -> Instant {
        // A little later rather than a little earlier, when it would not be time yet.
        self.begun + Duration::from_millis(at.0.saturating_sub(self.begun_at) + 1)
    }
}

/// Shows a session, and others that the person goes to, until the person leaves. Leaving stops nothing: a turn goes on
/// in the daemon. The future runs on a current-thread runtime; dropping it makes the terminal what it was.
///
/// # Errors
/// When there is no terminal, or the session can't be reached or followed any more.
pub async fn run(options: TuiOptions) -> Result<(), TuiError> {
    if !Terminal::is_there() {
        return Err(TuiError::NoTerminal);
    }
    let connection = Connection::open(options.connect.clone()).await?;
    let (settings, wrong) = Settings::read(&connection.folders().config_file());
    let clock = Clock::start();
    let stage = Stage::set(settings, options.mode, Memory::of_home(&connection.folders().state))?;
    Box::pin(stage.play(options, connection, clock, wrong)).await
}

/// What outlives a session on the screen: the terminal, and what is known of it.
struct Stage {
    terminal: Terminal,
    screen: Screen<Stdout>,
    pane: Option<Pane<Stdout>>,
    settings: Settings,
    mode: Mode,
    theme: Theme,
    bell: Bell,
    focus: Focus,
    memory: Memory,
    syntaxes: Syntaxes,
    /// Keys that were typed before the first frame.
    typed: Vec<KeyEvent>,
}

/// A session on the screen.
struct Scene {
    app: App,
    clock: Clock,
    session: SessionId,
    calls: mpsc::Sender<Call>,
    news: mpsc::Receiver<News>,
    finder: Option<Finder>,
    loading: Option<JoinHandle<Arc<SyntaxSet>>>,
    /// The clipboard sequence, the bell, and what else is written beside frames.
    beside: String,
    is_resized: bool,
    is_changed: bool,
    drawn: Option<Instant>,
}

/// Why a session is not shown any more.
enum Parting {
    Leave,
    Switch(SessionChoice),
}

impl Stage {
    fn set(settings: Settings, mode: Mode, memory: Memory) -> Result<Self, TuiError> {
        let (terminal, answers) = Terminal::enter().map_err(TuiError::Terminal)?;
        let size = Terminal::size().map_err(TuiError::Terminal)?;
        let row = answers.cursor.map_or(size.height, |cursor| cursor.y + u16::from(cursor.x > 0));
        Ok(Self {
            terminal,
            screen: Screen::new(io::stdout(), size, row),
            pane: None,
            theme: Theme::for_process(settings.theme, answers.background),
            settings,
            mode,
            bell: Bell::of_environment(),
            // A terminal that can tell of its focus has it when somebody starts a program in it.
            focus: if answers.reports_focus { Focus::Here } else { Focus::Unknown },
            memory,
            syntaxes: Syntaxes::Absent,
            typed: answers.typed,
        })
    }

    async fn play(
        mut self,
        options: TuiOptions,
        connection: Connection,
        clock: Clock,
        mut wrong: Vec<String>,
    ) -> Result<(), TuiError> {
        let mut connection = Some(connection);
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
            if !matches!(app.syntaxes, Syntaxes::Off) {
                app.syntaxes = self.syntaxes.clone();
            }
            if is_first && self.settings.has_tips && self.mode == Mode::Drive {
                let tips = tips::all();
                let tip = tips.get(self.memory.next_tip(tips.len()));
                app.asides.extend(tip.map(|tip| Aside::Tip(tip)));
            }
            is_first = false;
            let opened = open(&mut app, connection, choice, self.mode, &clock).await?;
            if !wrong.is_empty() {
                app.notify(Tone::Bad, std::mem::take(&mut wrong).join("; "), clock.now());
            }
            let parting = Box::pin(self.show(app, clock, opened, prompt.take())).await?;
            match parting {
                Parting::Leave => return Ok(()),
                Parting::Switch(next) => choice = next,
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
        let mut gone = pin!(told_to_go());
        if let Some(draft) = self.memory.draft(session) {
            app.composer.set_text(&draft);
        }
        let mut scene = Scene {
            app,
            clock,
            session,
            calls,
            news,
            finder: None,
            loading: None,
            beside: String::new(),
            is_resized: false,
            is_changed: true,
            drawn: None,
        };
        let mut has_history = false;
        let parting = loop {
            let frame_at = scene.drawn.map_or_else(Instant::now, |drawn| drawn + FRAME);
            if scene.is_changed && frame_at <= Instant::now() {
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
            let wake = if scene.is_changed {
                Some(scene.drawn.map_or_else(Instant::now, |drawn| drawn + FRAME))
            } else {
                scene.app.wakes_at(clock.now()).map(|at| clock.instant(at))
            };
            let effect = tokio::select! {
                biased;
                event = self.terminal.next() => match event {
                    Some(Ok(event)) => {
                        scene.is_resized |= matches!(event, Event::Resize(..));
                        scene.is_changed = true;
                        input(&mut scene.app, event, clock.now())
                    }
                    // The terminal is gone, and with it the person.
                    Some(Err(_)) | None => Some(Effect::Leave),
                },
                () = &mut gone => Some(Effect::Leave),
                () = &mut link, if is_linked => {
                    is_linked = false;
                    None
                }
                Some(news) = scene.news.recv() => {
                    scene.is_changed = true;
                    let effect = scene.app.news(news, clock.now());
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
                Some(Effect::Switch(choice)) => break Parting::Switch(choice),
                Some(Effect::Redraw) => self.redraw(&mut scene)?,
                Some(Effect::Suspend) => {
                    self.give_away()?;
                    terminal::suspend();
                    self.come_back(&mut scene)?;
                }
                Some(Effect::Edit) => {
                    self.give_away()?;
                    let text = scene.app.writing().text();
                    let mut edited = pin!(editor::edit(&text));
                    let edited = loop {
                        // The session goes on meanwhile, unseen.
                        tokio::select! {
                            edited = &mut edited => break edited,
                            () = &mut link, if is_linked => is_linked = false,
                            Some(news) = scene.news.recv() => {
                                if let Some(Effect::Call(call)) = scene.app.news(news, clock.now()) {
                                    scene.hand_over(call);
                                }
                            }
                        }
                    };
                    self.come_back(&mut scene)?;
                    match edited {
                        Ok(text) => scene.app.edited(&text),
                        Err(error) => scene.app.notify(Tone::Bad, error, clock.now()),
                    }
                }
            }
        };
        self.focus = scene.app.focus;
        self.theme = scene.app.theme.clone();
        self.memory.keep_draft(session, &scene.app.composer.text());
        self.pane = None;
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
        if scene.app.pager.is_some() {
            let size = Terminal::size().map_err(TuiError::Terminal)?;
            let pane = match &mut self.pane {
                Some(pane) => pane,
                None => self.pane.insert(Pane::enter(io::stdout()).map_err(TuiError::Terminal)?),
            };
            let App { pager, theme, syntaxes, .. } = &mut scene.app;
            if let Some(pager) = pager {
                let lines = pager.screen(size, theme, syntaxes);
                pane.draw(&lines, size, None).map_err(TuiError::Terminal)?;
            }
        } else {
            self.pane = None;
            if std::mem::take(&mut scene.is_resized) {
                let size = Terminal::size().map_err(TuiError::Terminal)?;
                self.screen.resize(size, self.terminal.cursor().map(|cursor| cursor.y));
            }
            let frame = scene.app.frame(self.screen.size(), scene.clock.now());
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
        (scene.is_changed, scene.drawn) = (false, Some(Instant::now()));
        Ok(())
    }

    fn do_chores(&self, scene: &mut Scene) {
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
                Chore::Find { number, text } => {
                    let folder = scene.app.cwd();
                    scene.finder.get_or_insert_with(|| Finder::of(folder)).ask(number, &text);
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

    /// Lets somebody else have the terminal, with the viewport gone from it.
    fn give_away(&mut self) -> Result<(), TuiError> {
        self.pane = None;
        take_leave(&mut self.screen, &[]).map_err(TuiError::Terminal)?;
        self.terminal.give_away();
        Ok(())
    }

    fn come_back(&mut self, scene: &mut Scene) -> Result<(), TuiError> {
        self.terminal.come_back().map_err(TuiError::Terminal)?;
        let size = Terminal::size().map_err(TuiError::Terminal)?;
        let row = self.terminal.cursor().map_or(size.height, |cursor| cursor.y + u16::from(cursor.x > 0));
        self.screen = Screen::new(io::stdout(), size, row);
        scene.is_changed = true;
        Ok(())
    }
}

impl Scene {
    fn hand_over(&mut self, call: Call) {
        if let Err(mpsc::error::TrySendError::Full(call) | mpsc::error::TrySendError::Closed(call)) =
            self.calls.try_send(call)
        {
            self.app.not_sent(call, self.clock.now());
        }
    }

    /// What stays on the terminal: all that was shown, and how to come back.
    fn farewell(&mut self, size: Size, parting: &Parting) -> Vec<Line<'static>> {
        let app = &mut self.app;
        app.picker = None;
        // What waits for its colours goes without them.
        if app.syntaxes.is_coming() {
            app.syntaxes = Syntaxes::Off;
        }
        let mut lines = app.frame(size, self.clock.now()).finished;
        let cwd = app.cwd();
        let (width, detail) = (size.width.max(1), Detail::Folded);
        let pen = Pen { theme: &app.theme, width, detail, syntaxes: &app.syntaxes, cwd: &cwd };
        for block in app.view.live() {
            lines.extend(pen.block(block));
        }
        let style = app.theme.dim;
        lines.push(Line::default());
        if app.is_busy() {
            lines.extend(pen.text("·", style, style, "the turn goes on without you"));
        }
        let text = match parting {
            Parting::Leave => format!("come back with: skein attach {}", self.session),
            Parting::Switch(_) => format!("left the session {}", self.session),
        };
        lines.extend(pen.text("·", style, style, &text));
        lines
    }
}

/// The session that was chosen, followed.
async fn open(
    app: &mut App,
    mut connection: Connection,
    choice: SessionChoice,
    mode: Mode,
    clock: &Clock,
) -> Result<(Attached, SessionId), TuiError> {
    let session = match choice {
        SessionChoice::Existing(session) => session,
        SessionChoice::New(params) => {
            // Named here, so that the call can come twice.
            let session_id = Some(params.session_id.unwrap_or_else(SessionId::generate));
            let params = SessionCreateParams { session_id, ..*params };
            let created = connection.call(async |rpc| rpc.create(params.clone()).await).await?;
            let warnings: Vec<String> = created.warnings.into_iter().map(|warning| warning.message).collect();
            if !warnings.is_empty() {
                app.notify(Tone::Bad, warnings.join("; "), clock.now());
            }
            created.summary.id
        }
    };
    let attached = match mode {
        Mode::Drive => Attached::open(connection, session, None, true).await?,
        Mode::Watch => Attached::watch(connection, session, None).await?,
    };
    Ok((attached, session))
}

/// What was found next; absent, and for ever, as long as nothing is looked for.
async fn next_found(finder: &mut Option<Finder>) -> Option<Found> {
    match finder {
        Some(finder) => finder.found.recv().await,
        None => std::future::pending().await,
    }
}

async fn next_loaded(loading: &mut Option<JoinHandle<Arc<SyntaxSet>>>) -> Option<Syntaxes> {
    let Some(handle) = loading else { return std::future::pending().await };
    let loaded = handle.await;
    *loading = None;
    Some(loaded.map_or(Syntaxes::Off, Syntaxes::Ready))
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
        Event::Key(_) | Event::Resize(..) | Event::Mouse(_) => None,
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

/// Until the system wants this process to end.
async fn told_to_go() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut terminate), Ok(mut hang_up)) =
            (signal(SignalKind::terminate()), signal(SignalKind::hangup()))
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
    #[cfg(not(unix))]
    std::future::pending::<()>().await;
}
