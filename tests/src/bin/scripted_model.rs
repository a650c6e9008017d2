//! The scripted model server as a program: prints its URL, serves until it is interrupted, then says what it was
//! asked. Knows only how to start; the script's form is told in `skein_tests::scripted_model::file`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the shell prints")]

use std::path::Path;
use std::process::ExitCode;

use skein_tests::scripted_model::file::serve;
use skein_tests::scripted_model::server::ScriptedModel;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(path), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: scripted-model SCRIPT.json");
        return ExitCode::from(2);
    };
    match serve(Path::new(&path)) {
        Ok(model) => {
            println!("{}", model.base_url());
            wait_for_interrupt().map_or(ExitCode::FAILURE, |()| report(&model))
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn wait_for_interrupt() -> Result<(), std::io::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::signal::ctrl_c())
}

fn report(model: &ScriptedModel) -> ExitCode {
    for request in model.requests() {
        eprintln!("{} {} {} ({} bytes)", request.number, request.method, request.path, request.body.len());
    }
    match model.verify() {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaints) => {
            eprintln!("{complaints}");
            ExitCode::FAILURE
        }
    }
}
