//! Turns a helper's failure into an error in words. Knows what it was for.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use helper_protocol::bytes::Bytes;
use helper_protocol::report::Failure;

use crate::error::SandboxError;
use crate::request::CommandRequest;

/// For a request.
pub(crate) fn explain_for(failure: Failure, request: &CommandRequest) -> SandboxError {
    explain(failure, Path::new(request.argv.first().map_or(OsStr::new(""), |name| name)), &request.cwd)
}

/// For a program in a folder.
pub(crate) fn explain(failure: Failure, program: &Path, cwd: &Path) -> SandboxError {
    let program = || program.to_string_lossy().into_owned();
    match failure {
        Failure::Plan { reason } => SandboxError::Helper { reason },
        Failure::Setup { step, errno } => SandboxError::Helper { reason: setup(&step, errno) },
        Failure::Rule { path, reason } => {
            SandboxError::Refused { reason: format!("`{}` {reason}", shown(&path)), hint: None }
        }
        Failure::Changed { path } => {
            let reason = format!("`{}` changes while it is looked at", shown(&path));
            SandboxError::Refused { reason, hint: None }
        }
        Failure::Lack { reason } => SandboxError::Refused { reason, hint: None },
        Failure::Cwd { errno } => {
            SandboxError::Cwd { path: cwd.to_owned(), source: io::Error::from_raw_os_error(errno) }
        }
        Failure::NotFound => SandboxError::NotFound { program: program() },
        Failure::NotExecutable { errno } => {
            SandboxError::NotExecutable { program: program(), source: io::Error::from_raw_os_error(errno) }
        }
    }
}

/// A path, the middle left out of one that is too long to be read.
fn shown(path: &Bytes) -> String {
    let text = Path::new(OsStr::from_bytes(&path.0)).to_string_lossy().into_owned();
    let length = text.chars().count();
    if length <= MAX_SHOWN {
        return text;
    }
    let beginning: String = text.chars().take(MAX_SHOWN / 2).collect();
    let end: String = text.chars().skip(length - MAX_SHOWN / 2).collect();
    format!("{beginning}…{end}")
}

/// How many letters of a path are told.
const MAX_SHOWN: usize = 300;

fn setup(step: &str, errno: i32) -> String {
    format!("{step}: {}", io::Error::from_raw_os_error(errno))
}
