//! Skein's MCP client for the conformance suite: uses the server at the address that is its last argument. Knows only
//! how to start.
#![expect(clippy::print_stderr, reason = "a program for the shell prints")]

use std::process::ExitCode;

use skein_tests::conformance::client::visit;

/// What the suite says beside the address, as JSON.
const CONTEXT: &str = "MCP_CONFORMANCE_CONTEXT";

#[tokio::main]
async fn main() -> ExitCode {
    let Some(url) = std::env::args().next_back() else { return ExitCode::from(2) };
    let context = std::env::var(CONTEXT).ok().and_then(|text| serde_json::from_str(&text).ok());
    match visit(&url, context.unwrap_or_default()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
