//! A session on the screen, as long as it is shown: its state, and what works for it beside. Knows nothing of the
//! terminal but how long a new size of it may take.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use client::{Attached, ConnectOptions, Connection};
use protocol::api::session::SessionClient;
use protocol::ids::SessionId;
use protocol::session::SessionCreateParams;
use ratatui::layout::Size;
use ratatui::text::Line;
use syntect::parsing::SyntaxSet;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::app::{App, Aside};
use crate::blocks::{Detail, Pen};
use crate::branch;
use crate::clock::Clock;
use crate::drafts::Drafts;
use crate::error::TuiError;
use crate::files::{Finder, Found};
use crate::highlight::Syntaxes;
use crate::image::Image;
use crate::link::{Call, News, follow};
use crate::run::{Mode, SessionChoice};
use crate::status_script::StatusScript;
use crate::terminal::Terminal;

/// How long what is written is on the screen only.
const DRAFT_AFTER: Duration = Duration::from_millis(500);
/// News of the session beside that may wait for the screen; then its feed waits.
const WAITING_NEWS: usize = 64;

/// The clipboard that is being read.
pub(crate) type Pasting = Pin<Box<dyn Future<Output = Result<Image, String>>>>;

/// A session on the screen.
pub(crate) struct Scene {
    pub(crate) app: App,
    pub(crate) clock: Clock,
    pub(crate) session: SessionId,
    pub(crate) calls: mpsc::Sender<Call>,
    pub(crate) news: mpsc::Receiver<News>,
    /// What is written and not sent, on disk.
    pub(crate) drafts: Drafts,
    /// When what was written since is kept.
    pub(crate) draft_at: Option<Instant>,
    pub(crate) finder: Option<Finder>,
    pub(crate) script: Option<StatusScript>,
    pub(crate) loading: Option<JoinHandle<Arc<SyntaxSet>>>,
    /// The image in the clipboard that is being read.
    pub(crate) pasting: Option<Pasting>,
    /// The session that is shown beside.
    pub(crate) beside_link: Option<Followed>,
    /// The clipboard sequence, the bell, and what else is written beside frames.
    pub(crate) beside: String,
    pub(crate) is_resized: bool,
    /// Nothing is drawn before: the terminal may have yet another size.
    pub(crate) settles_at: Option<Instant>,
    pub(crate) is_changed: bool,
    /// Whether a key or the like changed it, which is shown at once.
    pub(crate) is_pressed: bool,
    /// Whether more is to be shown than the last frame had room for; what comes waits until it is.
    pub(crate) is_behind: bool,
    pub(crate) drawn: Option<Instant>,
}

impl Scene {
    /// The terminal has another size, which it may change again before it tells.
    pub(crate) fn resized(&mut self) {
        self.is_resized = true;
        self.settles_at = Terminal::settling().map(|span| Instant::now() + span);
    }

    /// A key may have changed what is written: that is kept in a moment, and at once if it was sent.
    pub(crate) fn written(&mut self) {
        if self.app.composer.is_empty() {
            self.keep_draft();
        } else {
            self.draft_at.get_or_insert_with(|| Instant::now() + DRAFT_AFTER);
        }
    }

    /// Keeps what is written and not sent.
    pub(crate) fn keep_draft(&mut self) {
        self.draft_at = None;
        self.drafts.keep(&self.app.composer.text());
    }
}

/// A session that is followed and not written into; dropping this lets it go.
pub(crate) struct Followed {
    link: Pin<Box<dyn Future<Output = ()>>>,
    is_over: bool,
    news: mpsc::Receiver<News>,
    /// Nobody calls; it is followed as long as somebody could.
    _calls: mpsc::Sender<Call>,
}

impl Followed {
    /// Follows a session over a connection of its own.
    pub(crate) fn begin(connect: ConnectOptions, session: SessionId) -> Self {
        let (calls, waiting) = mpsc::channel(1);
        let (tell, news) = mpsc::channel(WAITING_NEWS);
        let link = Box::pin(async move {
            let attached = async { Attached::watch(Connection::open(connect).await?, session, None).await };
            match attached.await {
                Ok(attached) => follow(attached, session, waiting, tell).await,
                // Who does not listen any more needs not know.
                Err(error) => drop(tell.send(News::Ended(error)).await),
            }
        });
        Self { link, is_over: false, news, _calls: calls }
    }
}

/// Why a session is not shown any more.
pub(crate) enum Parting {
    Leave,
    /// And says this there first.
    Switch(SessionChoice, Option<String>),
}

impl Scene {
    /// Hands a call over, or gives it back to the person.
    pub(crate) fn hand_over(&mut self, call: Call) {
        if let Err(mpsc::error::TrySendError::Full(call) | mpsc::error::TrySendError::Closed(call)) =
            self.calls.try_send(call)
        {
            self.app.not_sent(call, self.clock.now());
        }
    }

    /// Looks anew at the branch, and asks the program of the status line.
    pub(crate) fn look_around(&mut self) {
        let cwd = self.app.cwd();
        self.app.branch = branch::of_folder(&cwd);
        let Some(script) = &mut self.script else { return };
        let status = self.app.view.status();
        let settings = status.settings.as_ref();
        let told = serde_json::json!({
            "sessionId": self.session,
            "title": status.title,
            "cwd": cwd,
            "branch": self.app.branch,
            "provider": settings.map(|settings| &settings.provider),
            "model": settings.map(|settings| &settings.model),
            "effort": status.effort(),
            "mode": self.app.session_mode().map(|mode| &mode.name),
            "sandbox": settings.map(|settings| settings.sandbox.as_str()),
            "approval": settings.map(|settings| settings.approval.as_str()),
            "isRunning": status.activity.turn().is_some(),
            "tokens": status.usage.total_tokens(),
            "contextTokens": status.context_tokens,
        });
        script.ask(format!("{told}\n"));
    }

    /// What stays on the terminal: all that was shown, and how to come back.
    pub(crate) fn farewell(&mut self, size: Size, parting: &Parting) -> Vec<Line<'static>> {
        let app = &mut self.app;
        app.picker = None;
        // What waits for its colours goes without them.
        if app.syntaxes.is_coming() {
            app.syntaxes = Syntaxes::Off;
        }
        let mut lines = app.last_lines(size, self.clock.now());
        let cwd = app.cwd();
        let (width, detail) = (size.width.max(1), Detail::Folded);
        let pen = Pen { theme: &app.theme, width, detail, syntaxes: &app.syntaxes, cwd: &cwd };
        let style = app.theme.dim;
        lines.push(Line::default());
        if app.is_busy() {
            lines.extend(pen.text("·", style, style, "the turn goes on without you"));
        }
        let text = match parting {
            Parting::Leave if app.is_put_away => {
                format!("put away; it comes back when something is said in it: skein attach {}", self.session)
            }
            Parting::Leave => format!("come back with: skein attach {}", self.session),
            Parting::Switch(..) => format!("left the session {}", self.session),
        };
        lines.extend(pen.text("·", style, style, &text));
        lines
    }
}

/// The session that was chosen, followed.
pub(crate) async fn open(
    app: &mut App,
    mut connection: Connection,
    choice: SessionChoice,
    mode: Mode,
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
                app.asides.push(Aside::Warned(warnings));
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
pub(crate) async fn next_found(finder: &mut Option<Finder>) -> Option<Found> {
    match finder {
        Some(finder) => finder.found.recv().await,
        None => std::future::pending().await,
    }
}

/// What happened next in the session beside; for ever, as long as there is none.
pub(crate) async fn next_beside(followed: &mut Option<Followed>) -> News {
    let Some(followed) = followed else { return std::future::pending().await };
    loop {
        tokio::select! {
            biased;
            Some(news) = followed.news.recv() => return news,
            () = &mut followed.link, if !followed.is_over => followed.is_over = true,
            else => return std::future::pending().await,
        }
    }
}

/// The image in the clipboard, once it is read; for ever, as long as none is.
pub(crate) async fn next_pasted(pasting: &mut Option<Pasting>) -> Result<Image, String> {
    let Some(reading) = pasting else { return std::future::pending().await };
    let image = reading.await;
    *pasting = None;
    image
}

/// What the program of the status line says, once it was asked; for ever, if there is none.
pub(crate) async fn next_said(script: &mut Option<StatusScript>) -> Option<String> {
    match script {
        Some(script) => script.said().await,
        None => std::future::pending().await,
    }
}

/// The definitions of code, once they are loaded; absent, and for ever, as long as they are not.
pub(crate) async fn next_loaded(loading: &mut Option<JoinHandle<Arc<SyntaxSet>>>) -> Option<Syntaxes> {
    let Some(handle) = loading else { return std::future::pending().await };
    let loaded = handle.await;
    *loading = None;
    Some(loaded.map_or(Syntaxes::Off, Syntaxes::Ready))
}
