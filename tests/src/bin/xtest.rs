//! `cargo xtest`: brings what is missing onto the machine, builds, runs every test, and says at the end which
//! ones were skipped. Arguments go to `cargo nextest run`, such as a part of a test's name. Knows the order of
//! things, nothing of the tests.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a program for the shell prints")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use skein_tests::environment::executable::target_folder;
use skein_tests::error::HarnessError;
use skein_tests::set_up::{Installer, TOLD_BY_CARGO, missing, run};
use skein_tests::{published_clients, published_types, sdk, skip};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match test(&arguments) {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtest: {error}");
            ExitCode::FAILURE
        }
    }
}

enum Verdict {
    Passed,
    Failed,
}

fn test(arguments: &[String]) -> Result<Verdict, HarnessError> {
    let root = repository();
    bring_what_is_missing()?;
    if let Err(error) = sdk::install() {
        eprintln!("xtest: {error}: tests with the TypeScript SDK will be skipped");
    }
    if let Err(error) = published_types::install() {
        eprintln!("xtest: {error}: checks against published types will be skipped");
    }
    if let Err(error) = published_clients::install() {
        eprintln!("xtest: {error}: tests with published clients of ACP and MCP will be skipped");
    }
    // The binary that the tests run is another package's, so cargo would not build it for them.
    run("cargo", ["build", "--quiet", "--workspace", "--bins"], &root)?;
    skip::forget()?;
    let mut results = vec![run_tests(arguments, &root)];
    if arguments.is_empty() {
        results.push(run_doc_tests(&root));
    }
    summarise()?;
    let mut verdict = Verdict::Passed;
    for error in results.into_iter().filter_map(Result::err) {
        eprintln!("xtest: {error}");
        verdict = Verdict::Failed;
    }
    Ok(verdict)
}

fn bring_what_is_missing() -> Result<(), HarnessError> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    if let Some(installer) = Installer::find() {
        eprintln!("xtest: installing {}", packages.join(" "));
        return installer.install(&packages);
    }
    for need in &missing {
        eprintln!("xtest: `{}` is missing: {} will not work", need.program, need.purpose);
    }
    eprintln!("xtest: to have it: sudo apt-get install {}", packages.join(" "));
    Ok(())
}

fn run_tests(arguments: &[String], root: &Path) -> Result<(), HarnessError> {
    let mut probe = Command::new("cargo");
    probe.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    let with =
        |words: &'static [&str]| words.iter().map(|word| (*word).to_owned()).chain(arguments.iter().cloned());
    if probe.status().is_ok_and(|status| status.success()) {
        // A report of an earlier run would be summed up if this one does not get as far.
        let _ = std::fs::remove_file(report()?);
        run("cargo", with(&["nextest", "run", "--workspace"]), root)
    } else {
        eprintln!(
            "xtest: cargo-nextest is not installed, so `cargo test` runs the tests: slower, and nothing ends a \
             test that hangs. To have it: cargo install --locked cargo-nextest"
        );
        run("cargo", with(&["test", "--workspace", "--lib", "--bins", "--tests"]), root)
    }
}

/// Runs the examples in comments. What they print is shown only if one fails.
fn run_doc_tests(root: &Path) -> Result<(), HarnessError> {
    let command = "cargo test --workspace --doc";
    let mut tests = Command::new("cargo");
    tests.args(["test", "--quiet", "--workspace", "--doc"]).current_dir(root).env_remove(TOLD_BY_CARGO);
    let output =
        tests.output().map_err(|source| HarnessError::Command { command: command.to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    print!("{}", String::from_utf8_lossy(&output.stdout));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(HarnessError::Preparation { command: command.to_owned(), status: output.status.to_string(), stderr })
}

/// Prints what was skipped and, where nextest left its report, the sums.
fn summarise() -> Result<(), HarnessError> {
    let skips = skip::recorded()?;
    if !skips.is_empty() {
        println!("\nSKIPPED:");
    }
    for skip in &skips {
        println!("  {}: {}", skip.test, skip.reason);
    }
    let report = std::fs::read_to_string(report()?).unwrap_or_default();
    if let (Some(tests), Some(failed)) = (sum(&report, "tests"), sum(&report, "failures")) {
        let failed = failed + sum(&report, "errors").unwrap_or_default();
        let skipped = skips.len();
        println!("{} passed, {failed} failed, {skipped} skipped", tests.saturating_sub(failed + skipped));
    }
    Ok(())
}

/// An attribute of a JUnit report's outermost element.
fn sum(report: &str, attribute: &str) -> Option<usize> {
    let head = report.split_once("<testsuites")?.1.split_once('>')?.0;
    let value = head.split_once(&format!(" {attribute}=\""))?.1;
    value.split_once('"')?.0.parse().ok()
}

fn report() -> Result<PathBuf, HarnessError> {
    Ok(target_folder()?.join("nextest/default/junit.xml"))
}

fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_from_a_report() {
        let report = "<?xml version=\"1.0\"?>\n<testsuites name=\"n\" tests=\"12\" failures=\"2\" errors=\"1\">\n\
                      <testsuite tests=\"5\"/>";
        assert_eq!(sum(report, "tests"), Some(12));
        assert_eq!((sum(report, "failures"), sum(report, "errors")), (Some(2), Some(1)));
        assert_eq!(sum(report, "flaky"), None);
        assert_eq!(sum("", "tests"), None);
    }
}
