//! A language server for tests as a program. Knows only how to start.
#![expect(clippy::print_stderr, reason = "a program for the shell prints")]

use std::process::ExitCode;

use skein_tests::fake_servers::language::{LanguageBehaviour, serve_language};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let served = LanguageBehaviour::of(&words)
        .and_then(|behaviour| serve_language(&behaviour).map_err(|error| error.to_string()));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
