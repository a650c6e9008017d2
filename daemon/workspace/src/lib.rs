//! What the daemon itself sees of a workspace: paths, git, instruction files, and changes of files. Knows
//! nothing of tools, sessions or sandboxes, and never starts a program.
//!
//! `path` names things: without looking, or through symbolic links. `git` reads where a repository is and where
//! it keeps its data; `instructions` finds what a repository says to agents. `files` changes files for tools
//! that run in the daemon: a `Draft` collects the changes in memory, asks the session's profile about every
//! real path, and is then carried out as a whole or not at all.
//!
//! `sight` is what a session may see of files, and opens them; `reading` shows a part of one, `listing` a folder.
//! `history` tells what became different in a folder, with what was there before, and puts that back.
//! `search` looks through a tree: `grep` in the files, `find` for names, over `walk`, for as long as somebody has
//! `patience`.
//!
//! Everything here is blocking, and everything that is read may be hostile: a link, a pipe, a huge file, a
//! folder that becomes a link while it is looked at. So files are opened in their folder, and the folder in a
//! way that follows no link; a path that was resolved a moment ago is then either what it was, or refused.

pub mod files;
pub mod git;
pub mod history;
pub mod instructions;
pub mod listing;
pub mod path;
pub mod patience;
pub mod reading;
pub mod search;
pub mod sight;
pub mod walk;
