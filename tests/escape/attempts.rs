//! The tables of attempts, by what they go at.

mod files;
mod machine;
mod network;
mod processes;
mod repository;

use crate::attempt::Attempt;

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = Attempt> {
    [files::ATTEMPTS, repository::ATTEMPTS, processes::ATTEMPTS, network::ATTEMPTS, machine::ATTEMPTS]
        .into_iter()
        .flatten()
        .copied()
}
