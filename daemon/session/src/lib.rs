//! The heart: a session as a log of events, decided by a pure function, carried out by one actor.
//!
//! `state` folds events (`turns` is the part that makes up turns); nothing else changes a session. `turn::step`
//! decides: given the state and one input it says which effects follow, and touches nothing. `actor` feeds it inputs
//! (requests of clients, pieces of the model's answer, outcomes of tools, timers, recovery) one at a time and carries
//! out the effects in order: append first, then publish, then act; `queries` answers questions about the session,
//! `stopping` is how it ends with the daemon. `hands` begins what goes on beside, and `work` keeps it: the model's
//! answer, which `asking` asks for (`compacting`, where a provider puts a conversation into less), the running tool,
//! and `hooks`, programs of people that are asked; `callers` is how a running tool calls others, `own_model` how one
//! asks the session's model, and `client_tools` are those that clients have; `gauge` guesses how many tokens a request
//! has. `ceilings` is what the actor has to do with budgets, `worked` how the fold counts time. `audience` is who
//! follows, with their roles; `outbox` is a subscriber's bounded queue.
//!
//! `sessions` makes, finds and loads sessions; `fork` is what one has of another that it begins as; `handle` is how the
//! rest of the daemon talks to one; `load` reads it from the log, with `header` so that a long one need not be folded
//! from its beginning. `log` is what a session needs of the store, `world` what the daemon hands in, `file_history`
//! with it: what calls change in files, and the way back.
//!
//! Sessions that a model started are sessions like any other: `trees` is what those of one tree have together, and what
//! they tell one another comes through the `handle`; `today` is what all sessions spent.
//!
//! Knows nothing of JSON-RPC, SQL, providers, sandboxes or files.

mod actor;
mod asking;
mod asks;
mod audience;
mod callers;
mod ceilings;
mod census;
pub mod client_tools;
mod compacting;
pub mod effect;
pub mod file_history;
pub mod fork;
mod gauge;
mod grants;
pub mod handle;
mod hands;
mod header;
mod hooking;
pub mod hooks;
pub mod input;
mod judge;
mod load;
pub mod log;
pub mod moment;
pub mod outbox;
mod own_model;
mod queries;
pub mod sessions;
mod spools;
pub mod state;
mod stopping;
mod title;
mod today;
mod toolbox;
mod trees;
pub mod turn;
mod turns;
mod work;
mod worked;
pub mod world;

pub use census::Counts;
