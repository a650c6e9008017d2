//! `skein review`: a session that may only read looks at a change, and answers with findings that a program can read.

mod change;
mod findings;
mod run;

pub(crate) use run::{ReviewArgs, run};
