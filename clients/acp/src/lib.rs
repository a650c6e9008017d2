//! Skein as an agent of the Agent Client Protocol (agentclientprotocol.com), version 1, for editors that speak it.
//!
//! An editor starts `skein acp` and speaks JSON-RPC with it, one message a line. `lines` and `rpc` read that,
//! `agent` decides what a message means, `setup` opens sessions, and `session` is a task for each one that is open: it
//! follows the session as any client does (`client::Attached`), so what others do in it is shown too, and the same
//! session can be attached from a terminal at the same moment. `story` and `tool` turn events into updates, `question`
//! turns questions into permission requests and forms, `choice` settings into modes and options, `prompt` what the
//! editor sends into input, `servers` its MCP servers into settings of its session alone. `editor` is the way back.
//!
//! Commands run and files change in the daemon, in its sandbox, and never through the editor: what an editor offers of
//! its own terminals and of writing files is left alone, because what it starts or writes for an agent no sandbox holds,
//! and nobody else in the session would see (decision 13). What commands print is shown as it comes: in `terminal`s that
//! only show it, where the editor has such, and else as text of the call. `buffers` asks an editor that offers it what a
//! linked file holds that is not saved. When the editor goes, what runs goes on.
//!
//! Version 2 is not spoken: nothing of it is stable. Its schema is called a preview whose definitions can still change
//! (`agent-client-protocol-schema` 1.20 keeps it behind `unstable_protocol_v2`, outside of `unstable`), the npm package
//! (2.4) exports it as `experimental/v2` and says that the wire format may change incompatibly in any release, and what
//! is called stable in it is a choice of features, not a promise. It also has no subset that could be taken over alone:
//! a prompt is answered at once and the turn ends by an update, messages and tool calls are replaced by their key, and
//! `initialize` itself has other fields. So an editor that offers 2 is answered with 1, as the protocol wants it.

mod agent;
mod buffers;
mod choice;
mod command;
mod diff;
mod editor;
mod error;
mod lines;
mod prompt;
mod prompts;
mod question;
mod rpc;
mod schema;
mod servers;
mod session;
mod setup;
mod story;
mod terminal;
mod time;
mod tool;

use std::io;
use std::time::Duration;

use client::ConnectOptions;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::agent::Agent;
use crate::editor::Editor;
pub use crate::error::AcpError;
use crate::lines::{Line, Lines};
use crate::rpc::RpcError;

/// The longest message that is read; an image in a prompt is the longest there is.
const MAX_LINE_BYTES: usize = 32 * 1024 * 1024;
/// How long requests are finished after the editor has said its last word.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Serves an editor until it closes `input`. Nothing but messages is written to `output`.
///
/// # Errors
/// When the editor can't be read from or written to.
pub async fn run(
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
    options: ConnectOptions,
) -> Result<(), AcpError> {
    let (editor, lines) = Editor::new();
    let writing = write(lines, output);
    let serving = serve(Lines::new(input, MAX_LINE_BYTES), editor, options);
    // Calls of a connection can't change threads in the middle, so all of it stays on this one.
    let tasks = LocalSet::new();
    let serving = tasks.run_until(serving);
    tokio::pin!(writing, serving);
    tokio::select! {
        // The editor does not read any more: nobody is there.
        written = &mut writing => written.map_err(AcpError::Output),
        served = &mut serving => {
            let written = writing.await;
            served.map_err(AcpError::Input)?;
            written.map_err(AcpError::Output)
        }
    }
}

async fn serve(
    mut lines: Lines<impl AsyncRead + Unpin>,
    editor: Editor,
    options: ConnectOptions,
) -> io::Result<()> {
    let mut agent = Agent::new(editor.clone(), options);
    let end = loop {
        let line = tokio::select! {
            line = lines.next() => line,
            ended = agent.ended() => {
                agent.finish(ended).await;
                continue;
            }
        };
        match line {
            Ok(Some(Line::Whole(line))) if line.iter().all(u8::is_ascii_whitespace) => {}
            Ok(Some(Line::Whole(line))) => match rpc::parse(&line) {
                Ok(message) => agent.take(message).await,
                Err((id, error)) => editor.respond(&id, Err(error)).await,
            },
            Ok(Some(Line::TooLong)) => {
                let text = format!("A message has more than {MAX_LINE_BYTES} bytes");
                editor.respond(&Value::Null, Err(RpcError::invalid_request(text))).await;
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    // What is not done by then is left; the daemon has it.
    let _left = tokio::time::timeout(LAST_WORDS, agent.end()).await;
    end
}

/// Writes lines until nobody has any.
async fn write(mut lines: mpsc::Receiver<String>, mut output: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut ready = Vec::new();
    while lines.recv_many(&mut ready, 64).await > 0 {
        for line in ready.drain(..) {
            output.write_all(line.as_bytes()).await?;
            output.write_all(b"\n").await?;
        }
        output.flush().await?;
    }
    Ok(())
}
