//! `cargo codegen`: writes the generated files, or with `--check` compares them. Knows only its arguments.
#![expect(clippy::print_stderr, reason = "a program for the shell prints")]

use std::io;
use std::process::ExitCode;

use codegen::folder;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => write(),
        ["--check"] => check(),
        _ => {
            eprintln!("usage: cargo codegen [--check]");
            return ExitCode::from(2);
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("Can't use `{}`: {error}", folder::path().display());
        ExitCode::FAILURE
    })
}

fn write() -> io::Result<ExitCode> {
    for path in folder::write(&folder::path(), &codegen::render())? {
        eprintln!("wrote proto-schema/{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn check() -> io::Result<ExitCode> {
    let stale = folder::stale(&folder::path(), &codegen::render())?;
    for path in &stale {
        eprintln!("stale: proto-schema/{}", path.display());
    }
    if stale.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("run: cargo codegen");
    Ok(ExitCode::FAILURE)
}
