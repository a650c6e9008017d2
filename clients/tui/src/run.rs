//! What the outside asks for: which session is shown, and how.

use client::{ConnectOptions, Connection};
use protocol::ids::SessionId;
use protocol::session::SessionCreateParams;

use crate::clock::Clock;
use crate::error::TuiError;
use crate::memory::Memory;
use crate::settings::Settings;
use crate::stage::Stage;
use crate::terminal::{self, Terminal};

/// What is shown, and how.
#[derive(Clone, Debug)]
pub struct TuiOptions {
    /// The session.
    pub session: SessionChoice,
    /// What the person may do.
    pub mode: Mode,
    /// What is said first.
    pub prompt: Option<String>,
    /// How much of the terminal it takes.
    pub extent: Extent,
    /// How the daemon is reached.
    pub connect: ConnectOptions,
}

/// How much of the terminal a screen takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// As the person has set it; else what it needs, below what was there.
    #[default]
    AsSet,
    /// All of it, with scrolling of its own.
    Fullscreen,
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

/// Shows a session, and others that the person goes to, until the person leaves. Leaving stops nothing: a turn goes on
/// in the daemon. The future runs on a current-thread runtime; dropping it makes the terminal what it was.
///
/// # Errors
/// When there is no terminal, or the session can't be reached or followed any more.
pub async fn run(options: TuiOptions) -> Result<(), TuiError> {
    if !Terminal::is_there() {
        return Err(TuiError::NoTerminal);
    }
    let mut options = options;
    // So that people can tell who decided, and who is there.
    options.connect.client_name = terminal::name().unwrap_or(options.connect.client_name);
    let connection = Connection::open(options.connect.clone()).await?;
    let (mut settings, wrong) = Settings::read(&connection.folders().config_file());
    settings.is_fullscreen |= options.extent == Extent::Fullscreen;
    let clock = Clock::start();
    let stage = Stage::set(
        settings,
        options.mode,
        Memory::of_home(&connection.folders().state),
        options.connect.clone(),
    )?;
    Box::pin(stage.play(options, connection, clock, wrong)).await
}
