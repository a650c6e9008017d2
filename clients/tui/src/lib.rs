//! The terminal UI: one session in a terminal, inline.
//!
//! `run` owns the terminal until the person leaves. Keys and what the daemon sends (`link`) change the `App`, a pure
//! state around `view::View`; it gives calls back, and a `frame`: lines that are finished, which the `screen` writes
//! into the terminal's own scrollback, and the viewport below them, which it keeps up to date. So selecting,
//! searching and copying are the terminal's, and memory does not grow with the session. The rules of look and wording
//! are in `styles.md`.

mod app;
mod blocks;
mod command;
mod composer;
mod dialog;
mod error;
mod frame;
mod help;
mod link;
mod markdown;
mod run;
mod screen;
mod terminal;
mod theme;
mod wrap;

pub use error::TuiError;
pub use run::{Mode, SessionChoice, TuiOptions, run};
