//! What a helper tells the daemon. Knows no words for people: those are the daemon's.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;

/// What became of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The command runs. With a proxied network a listener comes along, and after it, where the plan asks for a
    /// terminal, the end of it that a person would sit at.
    Started,
    /// A process of the command wants to become another program, and waits for a verdict. Its standard input, output
    /// and error come along.
    Executes(Execution),
    /// It never ran; the last report.
    Failed(Failure),
    /// It ended and nothing of its tree is left; the last report.
    Ended {
        /// How.
        end: End,
        /// What was refused to it, as far as it was seen.
        refusals: Refusals,
        /// What bounded it.
        bounds: Bounds,
    },
}

/// What bounds how much a command uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// How many processes and threads it has.
    pub processes: Bound,
    /// How much memory it has.
    pub memory: Bound,
}

/// What holds a bound, and so whose use is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// A control group: all of the command's processes together.
    Group,
    /// Namespaces: all of the command's processes together.
    Namespace,
    /// A limit of all of the user's processes together.
    User,
    /// A limit of each process.
    Process,
    /// Nothing holds one.
    #[default]
    Nothing,
}

/// How many refusals are told.
pub const MAX_REFUSALS: usize = 16;

/// How many programs are told that met refusals.
pub const MAX_PROGRAMS: usize = 8;

/// What was refused, and to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// At most [`MAX_REFUSALS`], in order.
    pub list: Vec<Refused>,
    /// The programs that met them, each once; at most [`MAX_PROGRAMS`].
    pub programs: Vec<Program>,
}

/// A refusal and who met it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What was stopped.
    pub refusal: Refusal,
    /// Which of the programs met it; none if that is not known, or too much to be told.
    pub by: Option<usize>,
}

/// A program that met a refusal, in its own words: it may have changed them since it was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its file; of a script the interpreter's.
    pub program: Bytes,
    /// Its arguments.
    pub argv: Vec<Bytes>,
    /// Its environment.
    pub environment: Vec<Bytes>,
    /// The working folder that it was started in, by which its arguments go; it may have left it since.
    pub cwd: Bytes,
}

/// Something that the sandbox stopped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Refusal {
    /// Reading a file, or listing a folder.
    Read(Bytes),
    /// Writing a file, or making, removing, renaming or marking it.
    Write(Bytes),
    /// Connecting to an address, as people write it.
    Connect(String),
    /// Executing a program.
    Execute(Bytes),
}

/// A program that waits for a verdict. All of it was copied, so what is decided on can't be changed any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// For the verdict.
    pub id: u64,
    /// The path that was asked for; relative to `cwd` if it is relative.
    pub program: Bytes,
    /// Its arguments.
    pub argv: Vec<Bytes>,
    /// Its environment.
    pub environment: Vec<Bytes>,
    /// Its working folder.
    pub cwd: Bytes,
    /// The rights that files which it makes don't get.
    pub umask: u32,
    /// Whether it is given more descriptors than standard input, output and error.
    pub has_more_descriptors: bool,
}

/// How many paths are told that lost their protection.
pub const MAX_EXPOSED: usize = 8;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The helper killed it: these paths, at most [`MAX_EXPOSED`], were replaced, moved or removed from outside while it
    /// ran, and lost their protection with that.
    Exposed(Vec<Bytes>),
}

/// Why a command never ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The plan makes no sense to this helper.
    Plan {
        /// Why.
        reason: String,
    },
    /// The kernel refused a step of the confinement.
    Setup {
        /// Which.
        step: String,
        /// Its answer.
        errno: i32,
    },
    /// What a rule asks for can't be enforced there.
    Rule {
        /// The rule's path.
        path: Bytes,
        /// Why not.
        reason: String,
    },
    /// Something became another thing, or went away, while the sandbox was set up around it. Once more may do.
    Changed {
        /// Where it was.
        path: Bytes,
    },
    /// What is asked for has no meaning on that rung.
    Lack {
        /// What.
        reason: String,
    },
    /// The working folder can't be entered.
    Cwd {
        /// The kernel's answer.
        errno: i32,
    },
    /// There is no such program.
    NotFound,
    /// The program is there and can't be executed.
    NotExecutable {
        /// The kernel's answer.
        errno: i32,
    },
}
