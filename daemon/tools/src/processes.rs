//! Commands of a session that go on in the background. Each has a keeper, a task that owns the process, reads what it
//! prints and never lets it wait for a reader; calls come to it as visits, and watchers only notice. Dropping the
//! processes kills them all.

mod keeper;
mod table;
mod watcher;

pub(crate) use keeper::{Keeper, OnCancel, Signal, Stage, Visit, Visited};
pub(crate) use table::{Handle, Processes};
pub(crate) use watcher::{Noticed, Watcher};
