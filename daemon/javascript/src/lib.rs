//! `js_repl`: JavaScript that a model writes, in an interpreter that lives as long as the session.
//!
//! The code is hostile, and so may be what it makes of the engine. So it runs in a process of its own, this executable
//! once more, in a sandbox that reads at most what the session's commands may, writes nothing and reaches no network.
//! There, `child` takes limits on itself and talks over standard input and output, one `message` a line, while `engine`
//! evaluates: it has no modules, files, processes or timers, `prelude.js` gives it `console` and `tools`. In the daemon,
//! `interpreter` starts such a process with the first call of a session and holds it to its time, and `repl` is the tool.
//! What the code calls with `tools` goes out to the session and is judged there as any call of the model's.
//!
//! Time counts while no tool is waited for: those have limits of their own. Code that takes too long is asked to stop,
//! and keeps its variables, and so is code whose turn is interrupted; where it does not stop, the process is killed and
//! the next call starts another one, and says so.

mod child;
mod engine;
mod error;
mod interpreter;
mod message;
mod repl;

pub use child::run_if_interpreter;
pub use repl::JsRepl;
