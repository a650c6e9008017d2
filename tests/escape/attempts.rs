//! The tables of attempts, by what they go at.

mod files;
mod later;
mod machine;
mod network;
mod processes;
mod repository;

use crate::attempt::Attempt;

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = Attempt> {
    let tables = [
        files::ATTEMPTS,
        repository::ATTEMPTS,
        later::ATTEMPTS,
        processes::ATTEMPTS,
        network::ATTEMPTS,
        machine::ATTEMPTS,
    ];
    tables.into_iter().flatten().copied()
}
