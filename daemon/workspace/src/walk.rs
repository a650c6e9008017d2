//! Goes through a tree of files, on several threads: within what a session may see, without following a link, and
//! without what the repository's ignore files leave out. Knows nothing of what is looked for.

mod filter;
mod ignoring;
mod queue;
mod visit;

pub use filter::Filter;
pub(crate) use ignoring::Ignoring;
pub(crate) use queue::Queue;
pub use visit::Ignored;
pub(crate) use visit::{Entry, Visitor, Walk, Walked, walk};
