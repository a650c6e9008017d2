//! Hooks: programs that people have run when something happens in a session.

mod answer;
mod event;
mod file;
mod hook;
mod names;

pub use answer::{Answer, Verdict, understand};
pub use event::HookEvent;
pub use file::{of_value, read};
pub use hook::{Hook, Matcher, OnError};
pub use names::named_files;
