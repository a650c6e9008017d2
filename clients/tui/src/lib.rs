//! The terminal UI: one session in a terminal, inline.
//!
//! `run` owns the terminal until the person leaves. Keys and what the daemon sends (`link`) change the `App`, a pure
//! state around `view::View`; it gives calls back, and a `frame`: lines that are finished, which the `screen` writes
//! into the terminal's own scrollback, and the viewport below them, which it keeps up to date. So selecting,
//! searching and copying are the terminal's, and memory does not grow with the session. The rules of look and wording
//! are in `styles.md`.

mod app;
mod attention;
mod blocks;
mod clock;
mod command;
mod completion;
mod composer;
mod dialog;
mod diff;
mod draft;
mod editor;
mod error;
mod export;
mod files;
mod form;
mod frame;
mod help;
mod highlight;
mod keymap;
mod keys;
mod link;
mod list;
mod markdown;
mod memory;
mod news;
mod obey;
mod pager;
mod pane;
mod picker;
mod probe;
mod run;
mod scene;
mod screen;
mod settings;
mod stage;
mod terminal;
mod theme;
mod tips;
mod wrap;

pub use attention::Bell;
pub use error::TuiError;
pub use run::{Mode, SessionChoice, TuiOptions, run};
