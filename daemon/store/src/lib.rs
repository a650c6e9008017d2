//! What outlives the daemon: the log of every session, an index of sessions, and large payloads. The only crate
//! that knows SQL.
//!
//! `Store` is the handle. `database` opens one SQLite file in WAL mode and brings its schema up to date. All
//! changes go through one task, the `writer`: it takes what is waiting and commits it together, and it alone
//! knows where each log ends, so that a gap is refused before anything is written. Reads have connections of
//! their own and never wait for it. `index` is what lists show, `damage` what happens when something can't be read:
//! the session it belongs to is set aside, the others go on. `usage` sums up what was spent. `identity` refuses a
//! `-wal` file of another database, `network` warns of a database that is on another
//! machine. `rows` turns the protocol's types into rows. `blobs` keeps payloads as files
//! that are named by their content; the database only says which session refers to which. `platform` makes files
//! private.
//!
//! Knows nothing of what events mean, but that turns start, and nothing of who reads them.

mod blobs;
mod damage;
mod database;
mod error;
mod identity;
mod index;
mod network;
mod platform;
mod rows;
mod store;
#[cfg(test)]
mod tests;
mod usage;
mod writer;

pub use blobs::{BlobSpool, Blobs};
pub use damage::Folds;
pub use error::StoreError;
pub use store::{Append, Checkpoint, Durability, Store, StoreOptions};
pub use usage::{Spent, UsageBy, UsageFilter, UsageSum, day_of};
