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
    /// How it reaches what network rules allow.
    pub proxy: Proxy,
    /// Whether the programs that it starts wait for a verdict.
    pub interception: Interception,
}

/// Where standard input comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// Nowhere: it is at its end.
    #[default]
    Null,
    /// The caller's own; for commands that a person runs by hand.
    Inherit,
    /// A pipe, whose other end is taken with [`Process::take_input`](crate::Process::take_input).
    Piped,
}

/// Where standard output and standard error go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Both into one pipe, in order.
    #[default]
    Piped,
    /// Each into a pipe of its own; that of standard error is taken with
    /// [`Process::take_errors`](crate::Process::take_errors).
    Separate,
    /// To the caller's own; for commands that a person runs by hand.
    Inherit,
    /// To a terminal of the command's own, which is its standard input as well, whatever is asked for that.
    /// [`Process::take_output`](crate::Process::take_output) gives what a person would see there, and what is written to
    /// [`Process::take_input`](crate::Process::take_input) is typed.
    Terminal(TerminalSize),
}

/// How large a terminal is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// In a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// How a command reaches what its profile's network rules allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    /// Not at all.
    #[default]
    None,
    /// Through a listener inside the sandbox, which the caller takes
    /// ([`Process::take_proxy_listener`](crate::Process::take_proxy_listener)) and serves as a proxy; the environment
    /// names it. Only for `NetworkAccess::Rules`.
    Listen,
}

/// Whether the caller decides on each program that a command starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interception {
    /// No. It costs nothing then.
    #[default]
    Off,
    /// Yes, with [`Process::execution`](crate::Process::execution) and [`Process::answer`](crate::Process::answer).
    On,
}
