//! Reads `*.rules` files, which are programs in Starlark, and gives the rules they make.
//!
//! A file may be hostile: it could run for ever, or make one list that no machine can hold. What interprets Starlark
//! counts steps and looks at its heap now and then, but a single operation (`"a" * 10**12`, a comparison of lists
//! that hold each other) can be as long and as large as it likes, and a thread can't be ended. So a file is read by
//! a process of its own, with limits that the system holds: `Reader` starts it and waits for a bounded time, `child`
//! is what runs in it, `program` runs the file there. It gets the text on its standard input, writes the rules to its
//! standard output, and has neither the environment nor the folder of the daemon. Whatever becomes of it, the answer
//! is rules, or what is wrong with the file.

mod answer;
mod child;
mod program;
mod reader;

pub use child::run_if_reader;
pub use reader::Reader;
