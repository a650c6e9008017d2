//! `step` as a table of cases: inputs go in, what follows comes out as short words. Everything is folded as the
//! actor folds it, so the cases run the whole way.

mod agents;
mod answers;
mod background;
mod bench;
mod beside;
mod ceilings;
mod compactions;
mod hooks;
mod nested;
mod questions;
mod requests;
mod restarts;
mod reviews;
mod rewinds;
mod samplings;
mod working;
