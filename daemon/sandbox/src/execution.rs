//! A program that a command in a sandbox wants to start, while it waits for a verdict. Knows nothing of who decides.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use helper_protocol::bytes::Bytes;
use helper_protocol::order;
use helper_protocol::report;

use crate::error::SandboxError;
use crate::process::Exit;

/// A program that waits. It is a copy: what the command changes now, changes nothing here. It holds the command's
/// streams, so the command's output does not end before it is dropped.
///
/// A command that is let go on could still change what it starts in the last moment; so a verdict is no wall. The
/// sandbox around it is.
#[derive(Debug)]
pub struct Execution {
    /// The program's path; relative to `cwd` if it is relative.
    pub program: PathBuf,
    /// Its arguments, the first of them its name.
    pub argv: Vec<OsString>,
    /// Its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Its working folder.
    pub cwd: PathBuf,
    /// Whether it is given more descriptors than standard input, output and error. Outside the sandbox it would not have
    /// them.
    pub has_more_descriptors: bool,
    pub(crate) umask: u32,
    pub(crate) id: u64,
    /// Standard input, output and error.
    pub(crate) streams: [OwnedFd; 3],
}

/// What becomes of a program that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs, in the sandbox.
    Inside,
    /// It does not run; the command is told that it may not.
    Refuse,
    /// It has run elsewhere, and ended so. The process that wanted to become it ends in the same way.
    Ran(Exit),
}

impl Execution {
    pub(crate) fn new(told: report::Execution, streams: Vec<OwnedFd>) -> Result<Self, SandboxError> {
        let streams = <[OwnedFd; 3]>::try_from(streams)
            .map_err(|_| SandboxError::Helper { reason: "no streams came with a program".to_owned() })?;
        let text = |Bytes(bytes)| OsString::from_vec(bytes);
        Ok(Self {
            program: text(told.program).into(),
            argv: told.argv.into_iter().map(text).collect(),
            environment: variables(&told.environment),
            cwd: text(told.cwd).into(),
            has_more_descriptors: told.has_more_descriptors,
            umask: told.umask,
            id: told.id,
            streams,
        })
    }
}

/// The variables of an environment; what is none is left out.
pub(crate) fn variables(environment: &[Bytes]) -> Vec<(OsString, OsString)> {
    let variable = |Bytes(bytes): &Bytes| {
        let (name, value) = bytes.split_at(bytes.iter().position(|&byte| byte == b'=')?);
        Some((OsStr::from_bytes(name).to_owned(), OsStr::from_bytes(&value[1..]).to_owned()))
    };
    environment.iter().filter_map(variable).collect()
}

impl Verdict {
    pub(crate) fn order(self, id: u64) -> order::Order {
        let verdict = match self {
            Self::Inside => order::Verdict::Inside,
            Self::Refuse => order::Verdict::Refuse,
            Self::Ran(Exit::Code(code)) => order::Verdict::Exit(code),
            // As shells tell it.
            Self::Ran(Exit::Signal(signal)) => order::Verdict::Exit(128 + signal),
        };
        order::Order::Decide { id, verdict }
    }
}
