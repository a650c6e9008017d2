//! MCP servers: programs and services of others whose tools a session can call. Skein is the client here.
//!
//! A `recipe` is all that a server is made of: its settings, the workspace, the values of the variables that it is
//! given. `servers` keeps one `server` per recipe, whoever asks for it, so sessions share processes and connections. A
//! server is a task with a mailbox: it starts when somebody needs it (`connection`: a program over its standard input
//! and output, started and killed like a command, or streamable HTTP; both eras of the protocol), lists its tools, is
//! started anew after it broke off, later each time it fails again, and ends when nobody needs it any more.
//!
//! What a server says of a tool is a `definition`: text of a stranger, made harmless and short by `text`. The `memory`
//! keeps what was known last, so that the first request of a session has the tools while their server still starts, and
//! which definitions a person let pass. A `tool` is one of them as sessions see it: it says when a person is to be
//! asked, calls (`call`), and makes of a result what a model can read (`outcome`). `resources` are two tools more, for
//! servers that have something to read, and `mentions` is the same for people; `prompts` are for people alone. What a
//! server asks in the middle of a call (`handler`) goes to whoever called; if it does not say in which call it asks, to
//! the one session that calls it, and to nobody if there are several. Where the settings let it, it may ask the
//! session's model, too (`sampling`).
//!
//! A server over HTTP may want its user to sign in (`sign_in`): then a call carries the token of the one account that
//! all sessions share, which is renewed once for all of them.
//!
//! Knows nothing of sessions, of JSON-RPC, or of what is decided about a call.

mod call;
mod connection;
mod definition;
mod error;
mod handler;
mod memory;
mod mentions;
mod outcome;
mod prompts;
mod recipe;
mod resources;
mod roots;
mod sampling;
mod server;
mod servers;
mod sign_in;
mod text;
mod tls;
mod tool;

pub use error::McpError;
pub use memory::Memory;
pub use mentions::{Absent, Mention, mentions};
pub use recipe::{Guard, Recipe};
pub use servers::Servers;
pub use sign_in::accounts::Accounts;
pub use sign_in::login::{Login, state_of};
pub use sign_in::secrets::Secrets;
