//! The tools that every session has, put together of the crates that have some.

use std::path::PathBuf;
use std::sync::Arc;

use javascript::JsRepl;
use sandbox::Launcher;
use tools::registry::Registry;

/// All of them. Commands are started by this launcher; `program` is this executable.
pub(crate) fn own_tools(launcher: Arc<Launcher>, program: PathBuf) -> Registry {
    // In the sandbox `/proc/self/exe` is the helper, which may be the small one.
    let program = std::fs::canonicalize(&program).unwrap_or(program);
    let more = vec![Arc::new(JsRepl::new(Arc::clone(&launcher), program)) as Arc<dyn tools::tool::Tool>];
    tools::standard::registry(launcher, more)
}
