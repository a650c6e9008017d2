//! What the daemon and a sandbox helper say to each other. Knows nothing of how a command is confined.
//!
//! The daemon starts its own executable under the name [`NAME`] or with the argument [`ARGUMENT`], with one end
//! of a socket as standard input. It sends one [`plan::Plan`]; the helper answers with [`report::Report`]s:
//! `Started` or `Failed`, then `Ended` when the whole tree of processes is gone. Between them the daemon may
//! send orders ([`order`]). When the daemon's end closes, in part or whole, the tree dies.
//! Each message but those is a [`frame`]: its length, then JSON.

pub mod bytes;
pub mod frame;
pub mod order;
pub mod plan;
pub mod probe;
pub mod report;

/// The name under which an executable is a helper.
pub const NAME: &str = "skein-sandbox";

/// The first argument that makes an executable a helper.
pub const ARGUMENT: &str = "__sandbox";

/// The first argument that makes it the command of a probe; the second is [`probe::Orders`] as JSON.
pub const PROBE_ARGUMENT: &str = "__sandbox-probe";

/// The first argument that makes it the part of a helper that runs inside `bwrap`; the second is the plan's descriptor.
pub const INSIDE_ARGUMENT: &str = "__sandbox-inside";

/// The first argument that makes it print which build of the helper it holds, and nothing else.
pub const BUILD_ARGUMENT: &str = "__sandbox-build";
