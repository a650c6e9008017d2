//! What runs in the process that reads a file: it takes limits on itself, reads, answers and ends.

use std::ffi::OsStr;
use std::io::{self, Read, Write};

use crate::program;
use crate::reader::MAX_BYTES;

/// The one argument that makes the executable a reader. Nothing that a person would type.
pub(crate) const ARGUMENT: &str = "--skein-read-rules";

/// Memory of the process, in bytes, its own code included.
#[cfg(unix)]
const MEMORY: u64 = 512 * 1024 * 1024;
/// Processor time of the process, in seconds.
#[cfg(unix)]
const SECONDS: u64 = 1;

/// Reads a file of rules and ends the process, if it was started for that by a [`crate::Reader`]. To be called
/// before anything else is done.
pub fn run_if_reader() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) || arguments.next().is_some() {
        return;
    }
    std::process::exit(i32::from(run().is_err()));
}

fn run() -> io::Result<()> {
    #[cfg(unix)]
    limit()?;
    let mut text = String::new();
    io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text)?;
    let answer = serde_json::to_vec(&program::run(text))?;
    io::stdout().lock().write_all(&answer)
}

#[cfg(unix)]
fn limit() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    for (resource, most) in [
        (Resource::As, MEMORY),
        (Resource::Cpu, SECONDS),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 8),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}
