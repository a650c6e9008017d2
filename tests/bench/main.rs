//! `cargo xbench`: prints a table of what must be fast, each figure the median of several runs, against what was
//! promised. Knows the release build from outside; only `probe` speaks the protocol.
//!
//! Pairs that are compared are run in turns, so that a noisy machine disturbs both alike. Words after the
//! command choose rows, such as `cargo xbench shell idle`. `--quick` does little of each.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a program for the shell prints")]

mod daemon;
mod fanout;
mod javascript;
mod log;
mod mcp;
mod measure;
mod policy;
mod probe;
mod providers;
mod rewind;
mod rungs;
mod shell;
mod stage;
mod store;
mod table;
mod tools;
mod tui;
mod turn;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use skein_tests::environment::executable::{OVERRIDE, target_folder};
use skein_tests::set_up::run;

use crate::measure::{Failure, Runs};
use crate::table::Table;

type Part = fn(&Path, Runs, &mut Table) -> Result<(), Failure>;

/// The parts, by the word that chooses them.
const PARTS: &[(&str, Part)] = &[
    ("version", turn::version),
    ("turn", turn::plain),
    ("cold", turn::cold),
    ("deltas", turn::deltas),
    ("shell", shell::overhead),
    ("rungs", rungs::cost_of_true),
    ("latency", daemon::latency),
    ("memory", daemon::memory),
    ("attach", daemon::attach),
    ("idle", daemon::idle),
    ("fanout", fanout::throughput),
    ("delay", fanout::delay),
    ("clients", fanout::idle_client),
    ("appends", store::appends),
    ("restart", store::restart),
    ("replay", store::replay),
    ("policy", self::policy::check),
    ("parsing", self::providers::parsing),
    ("first-byte", self::providers::first_byte),
    ("searches", self::tools::searches),
    ("patch", self::tools::patch),
    ("definitions", self::tools::definitions),
    ("javascript", self::javascript::call),
    ("mcp", self::mcp::call),
    ("mcp-start", self::mcp::slow_start),
    ("mcp-memory", self::mcp::memory),
    ("scan", rewind::scan),
    ("rewind", rewind::rewind),
    ("tui", self::tui::all),
    ("tui-memory", self::tui::memory),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((probe::WORD, rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return told(probe::run(rest));
    }
    if let Some((self::mcp::WORD, rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return told(self::mcp::run(rest));
    }
    let (flags, words): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|word| word.starts_with("--"));
    let wrong_flag = flags.iter().find(|flag| *flag != "--quick");
    let wrong_word = words.iter().find(|word| PARTS.iter().all(|(name, _)| name != word));
    if let Some(wrong) = wrong_flag.or(wrong_word) {
        let names: Vec<_> = PARTS.iter().map(|(name, _)| *name).collect();
        eprintln!("`{wrong}` is unknown; usage: cargo xbench [--quick] [{}]", names.join("|"));
        return ExitCode::from(2);
    }
    let runs = if flags.is_empty() { Runs::Full } else { Runs::Quick };
    told(bench(&words, runs))
}

fn told(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn bench(words: &[String], runs: Runs) -> Result<(), Failure> {
    let executable = build()?;
    let mut table = Table::default();
    let mut failed = Vec::new();
    for (name, part) in PARTS {
        if words.is_empty() || words.iter().any(|word| word == name) {
            eprintln!("bench: {name}");
            // What the others found is shown all the same.
            if let Err(failure) = part(&executable, runs, &mut table) {
                eprintln!("bench: {name}: {failure}");
                failed.push(*name);
            }
        }
    }
    println!("{table}");
    if failed.is_empty() { Ok(()) } else { Err(Failure::Other(format!("failed: {}", failed.join(", ")))) }
}

/// Builds what ships, unless another executable is named, and says where it is.
fn build() -> Result<PathBuf, Failure> {
    if let Some(named) = std::env::var_os(OVERRIDE) {
        return Ok(named.into());
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().unwrap_or(here);
    run("cargo", ["build", "--quiet", "--release", "--package", "skein"], root)?;
    run("cargo", ["xhelper"], root)?;
    Ok(target_folder()?.join("release/skein"))
}
