//! The terminal UI: one session in a terminal, inline.
//!
//! `run` owns the terminal until the person leaves. Keys and what the daemon sends (`link`) change the `App`, a pure
//! state around `view::View`; it gives calls back, and a `frame`: lines that are finished, which the `screen` writes
//! into the terminal's own scrollback, and the viewport below them, which it keeps up to date. So selecting,
//! searching and copying are the terminal's, and memory does not grow with the session. The rules of look and wording
//! are in `styles.md`.
//!
//! Where a person wants all of the terminal, `fullscreen` keeps what was said instead, and `beside` shows a second
//! session. What a person keeps in files are commands (`custom`) and modes (`modes`, with `planning`); prompts of MCP
//! servers are commands too (`prompts`). What the command line does anyway is left to it: it has the terminal for a while
//! (`visit`). What comes to the text that is written by other ways than keys is in `arrivals`; `browser` is the list of
//! sessions; `feedback` puts together what a report of a bug needs.

#[cfg(test)]
mod anything;
mod app;
mod arrivals;
mod attention;
mod beside;
mod blocks;
mod branch;
mod browser;
mod choices;
mod clipboard;
mod clock;
mod command;
mod completion;
mod composer;
mod custom;
mod dialog;
mod diff;
mod draft;
mod drafts;
mod editor;
mod error;
mod export;
mod feedback;
mod files;
mod form;
mod frame;
mod fullscreen;
mod heard;
mod help;
mod highlight;
mod hyperlink;
mod image;
mod keymap;
mod keys;
mod lesson;
mod link;
mod list;
mod markdown;
#[cfg(test)]
mod matrix;
mod memory;
mod mentions;
mod modes;
mod news;
mod obey;
#[cfg(test)]
mod overlays;
mod pager;
mod pane;
mod picker;
mod planning;
mod probe;
mod prompts;
mod rewinding;
mod run;
mod scene;
mod screen;
mod settings;
mod signals;
mod stage;
mod status_line;
mod status_script;
mod table;
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
