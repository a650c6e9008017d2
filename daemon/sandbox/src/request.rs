//! What a caller asks for. Knows nothing of helpers.

use std::ffi::OsString;
use std::path::PathBuf;

use protocol::profile::Profile;

/// One command to run.
#[derive(Clone, Debug)]
pub struct CommandRequest {
    /// Program and arguments. A program without a slash is looked for in the `PATH` of `environment`.
    pub argv: Vec<OsString>,
    /// Working folder, absolute.
    pub cwd: PathBuf,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// What it may touch.
    pub profile: Profile,
    /// Where its standard input comes from.
    pub stdin: Stdin,
    /// Where its standard output and standard error go.
    pub output: Output,
    /// What it may use up.
    pub limits: Limits,
}

/// Where standard input comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// Nowhere: it is at its end.
    #[default]
    Null,
    /// The caller's own; for commands that a person runs by hand.
    Inherit,
}

/// Where standard output and standard error go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Both into one pipe, in order.
    #[default]
    Piped,
    /// To the caller's own; for commands that a person runs by hand.
    Inherit,
}

/// What a command may use up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Processes and threads at a time. `None` leaves the bound to the helper.
    pub max_processes: Option<u64>,
}
