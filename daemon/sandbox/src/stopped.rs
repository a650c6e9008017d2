//! What the sandbox stopped, and the program that it stopped. Knows nothing of what is to be done about it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use helper_protocol::bytes::Bytes;
use helper_protocol::report;
use protocol::item::{Refusal, RefusedOperation};

use crate::execution::variables;

/// Something that the sandbox stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// What.
    pub refusal: Refusal,
    /// The program that met it; none if it can't be told.
    pub by: Option<Arc<Offender>>,
}

/// A program that met a refusal, as it was then. It may have changed its own words before; so what is decided by them has
/// to be looked at again in what is really started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offender {
    /// Its file in the command's view; of a script the interpreter's.
    pub program: PathBuf,
    /// Its arguments, the first of them its name.
    pub argv: Vec<OsString>,
    /// Its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The working folder that it was started in, by which its arguments go; it may have left it since.
    pub cwd: PathBuf,
}

pub(crate) fn read(told: report::Refusals) -> Vec<Stopped> {
    let text = |Bytes(bytes)| OsString::from_vec(bytes);
    let offender = |told: report::Program| {
        Arc::new(Offender {
            program: text(told.program).into(),
            argv: told.argv.into_iter().map(text).collect(),
            environment: variables(&told.environment),
            cwd: text(told.cwd).into(),
        })
    };
    let programs: Vec<_> = told.programs.into_iter().map(offender).collect();
    let stopped = |told: report::Refused| Stopped {
        refusal: refusal(told.refusal),
        by: told.by.and_then(|index| programs.get(index).cloned()),
    };
    told.list.into_iter().map(stopped).collect()
}

pub(crate) fn paths(told: Vec<Bytes>) -> Vec<PathBuf> {
    told.into_iter().map(|Bytes(path)| OsString::from_vec(path).into()).collect()
}

fn refusal(told: report::Refusal) -> Refusal {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (operation, target) = match told {
        report::Refusal::Read(path) => (RefusedOperation::Read, text(&path.0)),
        report::Refusal::Write(path) => (RefusedOperation::Write, text(&path.0)),
        report::Refusal::Connect(address) => (RefusedOperation::Connect, address),
        report::Refusal::Execute(program) => (RefusedOperation::Execute, text(&program.0)),
    };
    Refusal { operation, target }
}
