//! What a command would run, as far as that can be known: shells' scripts are parsed, wrappers looked through.

mod builder;
mod carriers;
mod options;
mod plain;
mod result;
mod script;
mod windows;
mod word;

pub use builder::analyse;
pub(crate) use carriers::{file_run, reads_script, works_in};
pub(crate) use result::base;
pub use result::{Analysis, Feature, Gap, Output, Place, Simple, Start};
pub(crate) use windows::only_reads;
pub use word::Word;
pub(crate) use word::split;

#[cfg(test)]
mod tests;
