//! From the first frame to the last: the terminal, the session and the clock on one thread. Draws when something
//! changed, at most once in 16 ms, and sleeps otherwise.

use std::io::{self, Stdout};
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::{Attached, ConnectOptions, Connection};
use crossterm::event::{Event, KeyEventKind};
use protocol::api::session::SessionClient;
use protocol::ids::{SessionId, Timestamp};
use protocol::session::SessionCreateParams;
use ratatui::layout::{Position, Size};
use ratatui::text::Line;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::app::{App, Effect, Tone};
use crate::blocks::Pen;
use crate::error::TuiError;
use crate::link::{Call, follow};
use crate::screen::Screen;
use crate::terminal::Terminal;
use crate::theme::Theme;

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
#[derive(Clone, Debug)]
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

/// Shows a session until the person leaves. Leaving stops nothing: a turn goes on in the daemon. The future runs on a
/// current-thread runtime; dropping it makes the terminal what it was.
///
/// # Errors
/// When there is no terminal, or the session can't be reached or followed any more.
pub async fn run(options: TuiOptions) -> Result<(), TuiError> {
    if !Terminal::is_there() {
        return Err(TuiError::NoTerminal);
    }
    let mut connection = Connection::open(options.connect).await?;
    let mut app = App::new(options.mode, Theme::for_process());
    let clock = Clock::start();
    let session = match options.session {
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
    let attached = match options.mode {
        Mode::Drive => Attached::open(connection, session, None, true).await?,
        Mode::Watch => Attached::watch(connection, session, None).await?,
    };
    Box::pin(show(app, clock, attached, session, options.prompt)).await
}

async fn show(
    mut app: App,
    clock: Clock,
    attached: Attached,
    session: SessionId,
    mut prompt: Option<String>,
) -> Result<(), TuiError> {
    let (calls, waiting) = mpsc::channel(WAITING_CALLS);
    let (tell, mut news) = mpsc::channel(WAITING_NEWS);
    let mut link = pin!(follow(attached, session, waiting, tell));
    let mut is_linked = true;
    let mut gone = pin!(told_to_go());

    let mut terminal = Terminal::enter().map_err(TuiError::Terminal)?;
    let size = Terminal::size().map_err(TuiError::Terminal)?;
    let row = terminal.cursor().map_or(size.height, |cursor| cursor.y + u16::from(cursor.x > 0));
    let mut screen = Screen::new(io::stdout(), size, row);
    let mut is_resized = false;
    let mut is_changed = true;
    let mut drawn = None;
    loop {
        let frame_at = drawn.map_or_else(Instant::now, |drawn| drawn + FRAME);
        if is_changed && frame_at <= Instant::now() {
            if std::mem::take(&mut is_resized) {
                let size = Terminal::size().map_err(TuiError::Terminal)?;
                screen.resize(size, terminal.cursor().map(|cursor| cursor.y));
            }
            let frame = app.frame(screen.size(), clock.now());
            screen.draw(&frame.finished, &frame.viewport, frame.cursor).map_err(TuiError::Terminal)?;
            (is_changed, drawn) = (false, Some(Instant::now()));
        }
        let wake =
            if is_changed { Some(frame_at) } else { app.wakes_at(clock.now()).map(|at| clock.instant(at)) };
        let effect = tokio::select! {
            biased;
            event = terminal.next() => match event {
                Some(Ok(event)) => {
                    is_resized |= matches!(event, Event::Resize(..));
                    is_changed = true;
                    input(&mut app, event, clock.now())
                }
                // The terminal is gone, and with it the person.
                Some(Err(_)) | None => Some(Effect::Leave),
            },
            () = &mut gone => Some(Effect::Leave),
            () = &mut link, if is_linked => {
                is_linked = false;
                None
            }
            Some(news) = news.recv() => {
                is_changed = true;
                let effect = app.news(news, clock.now());
                match prompt.take_if(|_| app.view.status().session.is_some()) {
                    Some(prompt) => Some(app.say(prompt)),
                    None => effect,
                }
            }
            () = until(wake) => {
                app.tick(clock.now());
                is_changed = true;
                None
            }
        };
        match effect {
            None => {}
            Some(Effect::Call(call)) => hand_over(&mut app, &calls, call, clock.now()),
            Some(Effect::Leave) => break,
        }
    }
    let farewell = farewell(&mut app, screen.size(), session, clock.now());
    // The terminal may be gone; then nobody reads this.
    let _gone = take_leave(&mut screen, &farewell);
    drop(terminal);
    drop(calls);
    if is_linked {
        let rest = async { while news.recv().await.is_some() {} };
        let parting = async { tokio::join!(link, rest) };
        // What takes longer is done by the daemon, or was never asked for.
        let _parted = tokio::time::timeout(PARTING_LIMIT, parting).await;
    }
    app.into_error().map_or(Ok(()), |error| Err(error.into()))
}

fn input(app: &mut App, event: Event, now: Timestamp) -> Option<Effect> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => app.key(key, now),
        Event::Paste(text) => {
            app.paste(&text, now);
            None
        }
        Event::Key(_) | Event::Resize(..) | Event::FocusGained | Event::FocusLost | Event::Mouse(_) => None,
    }
}

fn hand_over(app: &mut App, calls: &mpsc::Sender<Call>, call: Call, now: Timestamp) {
    if let Err(mpsc::error::TrySendError::Full(call) | mpsc::error::TrySendError::Closed(call)) =
        calls.try_send(call)
    {
        app.not_sent(call, now);
    }
}

/// What stays on the terminal: all that was shown, and how to come back.
fn farewell(app: &mut App, size: Size, session: SessionId, now: Timestamp) -> Vec<Line<'static>> {
    let mut lines = app.frame(size, now).finished;
    let cwd = app.cwd();
    let pen = Pen { theme: &app.theme, width: size.width.max(1), cwd: &cwd };
    for block in app.view.live() {
        lines.extend(pen.block(block));
    }
    let style = app.theme.dim;
    lines.push(Line::default());
    if app.is_busy() {
        lines.extend(pen.text("·", style, style, "the turn goes on without you"));
    }
    lines.extend(pen.text("·", style, style, &format!("come back with: skein attach {session}")));
    lines
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
