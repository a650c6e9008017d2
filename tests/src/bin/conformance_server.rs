//! Skein as an MCP server over HTTP with what the conformance suite asks for. Prints its address. Knows only how to
//! start.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a program for the shell prints")]

use std::process::ExitCode;

use skein_tests::conformance::server::serve;

#[tokio::main]
async fn main() -> ExitCode {
    match serve(|url| println!("{url}")).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
