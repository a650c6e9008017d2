//! Skein as a server of the Model Context Protocol, for other agents: they start sessions, wait for them or not, go on
//! with them, answer what they ask, and read what came of them. Both eras of the protocol are spoken (rmcp does that).
//!
//! `server` is what rmcp calls; `tool` describes the tools, `turn` follows a turn with progress and questions, `report`
//! is what a tool answers, `question` turns questions into forms, `resource` and `prompt` are what their names say.
//! `http` serves the same on the loopback, to who knows a token; whoever has more to offer puts it around `Skein`
//! (`listen_with`), as the conformance suite's fixtures do. `desk` is where calls of the daemon are made: they stay on
//! one thread, and rmcp's do not.
//!
//! A request that is cancelled interrupts the turn that it waits for. A client that goes away interrupts nothing.

mod desk;
mod error;
mod http;
mod prompt;
mod question;
mod report;
mod resource;
mod server;
mod tool;
mod turn;

use client::ConnectOptions;
use rmcp::ServiceExt;
use tokio::task::LocalSet;

use crate::desk::Desk;
pub use crate::error::McpServerError;
pub use crate::http::{Token, listen, listen_with};
pub use crate::server::Skein;

/// Serves one client on standard input and output until it closes them.
///
/// # Errors
/// When the client does not begin as the protocol says.
pub async fn run(options: ConnectOptions) -> Result<(), McpServerError> {
    let (desk, work) = Desk::new();
    let tasks = LocalSet::new();
    let serving = Box::pin(async {
        let service = Skein::new(desk, options).serve(rmcp::transport::stdio()).await;
        let service = service.map_err(|source| McpServerError::Begin(Box::new(source)))?;
        service.waiting().await.map(drop).map_err(McpServerError::Task)
    });
    tasks
        .run_until(async {
            tokio::select! {
                served = serving => served,
                // It goes on as long as somebody may give it work.
                () = work => Ok(()),
            }
        })
        .await
}
