//! The terminal UI on its own: `try [--watch] [SESSION | PROMPT]`, with the daemon that listens already.

use client::ConnectOptions;
use protocol::session::SessionCreateParams;
use tui::{Extent, Mode, SessionChoice, TuiOptions};

fn main() -> anyhow::Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let before = arguments.len();
    arguments.retain(|argument| argument != "--watch");
    let mode = if arguments.len() < before { Mode::Watch } else { Mode::Drive };
    let argument = arguments.pop();
    let existing = argument.as_deref().and_then(|argument| argument.parse().ok());
    let session = match existing {
        Some(session) => SessionChoice::Existing(session),
        None => SessionChoice::New(Box::new(SessionCreateParams {
            cwd: std::env::current_dir()?,
            ..SessionCreateParams::default()
        })),
    };
    let prompt = argument.filter(|_| existing.is_none());
    let connect = ConnectOptions::new("skein try").without_start();
    let options = TuiOptions { session, mode, prompt, extent: Extent::AsSet, connect };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(tui::run(options))?)
}
