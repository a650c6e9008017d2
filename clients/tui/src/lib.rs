//! The terminal UI: one session in a terminal, inline.
//!
//! `run` owns the terminal until the person leaves. Keys and what the daemon sends (`link`) change the `App`, a pure
//! state around `view::View`; it gives calls back, and a `frame`: lines that are finished, which the `screen` writes
//! into the terminal's own scrollback, and the viewport below them, which it keeps up to date. So selecting,
//! searching and copying are the terminal's, and memory does not grow with the session. The rules of look and wording
//! are in `styles.md`.
//!
//! Where a person wants all of the terminal, `fullscreen` keeps what was said instead. What a person keeps in files are
//! commands (`custom`) and modes (`modes`, with `planning`). What the command line does anyway is left to it: it has the
//! terminal for a while (`visit`).

mod app;
mod attention;
mod blocks;
mod branch;
mod choices;
mod clock;
mod command;
mod completion;
mod composer;
mod custom;
mod dialog;
mod diff;
mod draft;
mod editor;
mod error;
mod export;
mod files;
mod form;
mod frame;
mod fullscreen;
mod help;
mod highlight;
mod image;
mod keymap;
mod keys;
mod link;
mod list;
mod markdown;
mod memory;
mod modes;
mod news;
mod obey;
mod pager;
mod pane;
mod picker;
mod planning;
mod probe;
mod rewinding;
mod run;
mod scene;
mod screen;
mod settings;
mod signals;
mod stage;
mod status_line;
mod status_script;
mod template;
mod terminal;
mod theme;
mod tips;
mod vim;
mod visit;
mod wrap;

pub use attention::Bell;
pub use error::TuiError;
pub use run::{Extent, Mode, SessionChoice, TuiOptions, run};
