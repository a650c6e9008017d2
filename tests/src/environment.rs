//! A home of its own for each test, and the programs that run in it. Knows where the binary and its settings
//! are, nothing of what it does.

pub mod executable;
pub mod leftover;
pub mod process;
pub mod terminal;
pub mod test_env;
