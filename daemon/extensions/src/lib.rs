//! What people and repositories add to Skein by files: hooks, rules, MCP servers and skills. Reads files; runs nothing,
//! and knows nothing of sessions or sandboxes.
//!
//! A person's own files hold as they are. What a repository declares is neither run nor obeyed before a person trusts
//! it: `project` says which folder that is about and how it is told from another at the same place, `declared` reads
//! all that it declares, each with a hash of everything that matters about it, and `trust` keeps which hashes a person
//! trusts, in the state folder, where no repository writes. So what changes later is not trusted any more, and what
//! changes back is again. That a folder is a project on which language servers can work is declared too, by the files
//! of its build; of that only the folder matters, because what the build says changes all the time.
//!
//! `skills` finds folders that say how a task is done, and tells of them in few words.
//!
//! `hooks` understands the files in which hooks stand, says which of them an event is about and what an answer means.

pub mod declared;
mod error;
mod files;
pub mod hooks;
pub mod project;
pub mod servers;
pub mod skills;
pub mod trust;

pub use error::ExtensionError;
