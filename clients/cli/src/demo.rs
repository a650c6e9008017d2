//! `skein demo`: a whole turn on a machine with neither key nor network. A scratch project with a failing test, a
//! scratch home with a model that follows a script; all else is what every turn has: the daemon, the sandbox, the
//! patch. What is claimed at the end was looked at.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use clap::Args;

use crate::error::CliError;
use crate::exec::signals::{Signal, Signals};
use crate::output::Output;

const PROGRAM: &str = include_str!("demo/leap.sh");
const TEST: &str = include_str!("demo/test.sh");
const SCRIPT: &str = include_str!("demo/script.toml");
const PROMPT: &str = "The test, sh test.sh, fails. Find out why and mend the program.";

/// How to show it.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Keep the scratch folder, to look around in
    #[arg(long)]
    keep: bool,
}

/// The scratch folder: a project and a home beside it.
struct Scratch {
    executable: PathBuf,
    project: PathBuf,
    home: PathBuf,
    outside: PathBuf,
    has_git: bool,
}

/// Shows it; an error says what did not hold.
pub(crate) async fn run(args: DemoArgs, output: Output) -> Result<(), CliError> {
    // A Ctrl-C ends the turn, and then this cleans up behind it.
    let _signals =
        Signals::new().map_err(|source| CliError::System { what: "Can't listen for signals", source })?;
    let folder = tempfile::Builder::new()
        .prefix("skein-demo-")
        .tempdir()
        .map_err(|source| CliError::System { what: "Can't make a scratch folder", source })?;
    let scratch = Scratch::fill(folder.path())?;
    let shown = scratch.show(output);
    let stopped = scratch.skein(["daemon", "stop"]).stdout(Stdio::null()).status();
    if args.keep {
        let kept = folder.keep();
        step(output, &format!("kept in {}", kept.display()))?;
    } else {
        // A folder that can't be removed is a leftover in the temporary folder, no failure of the demo.
        let _leftover = folder.close();
    }
    shown?;
    match stopped {
        Ok(status) if status.success() => next(output),
        Ok(_) | Err(_) => Err(failed("The daemon of the demo did not stop")),
    }
}

impl Scratch {
    fn fill(folder: &Path) -> Result<Self, CliError> {
        // Without links, as the daemon will see it.
        let folder = folder.canonicalize().map_err(|source| CliError::File {
            action: "read",
            path: folder.to_owned(),
            source,
        })?;
        let executable = std::env::current_exe()
            .map_err(|source| CliError::System { what: "Can't tell where this executable is", source })?;
        let mut scratch = Self {
            executable,
            project: folder.join("project"),
            home: folder.join("home"),
            outside: folder.join("outside.txt"),
            has_git: false,
        };
        for dir in [&scratch.project, &scratch.home] {
            fs::create_dir(dir).map_err(|source| CliError::File {
                action: "write",
                path: dir.clone(),
                source,
            })?;
        }
        write(&scratch.project.join("leap.sh"), PROGRAM)?;
        write(&scratch.project.join("test.sh"), TEST)?;
        let script = scratch.home.join("script.toml");
        write(&script, SCRIPT)?;
        write(&scratch.home.join("config.toml"), &settings(&script))?;
        scratch.has_git = scratch.git(&["init", "--quiet"])
            && scratch.git(&["add", "--all"])
            && scratch.git(&["commit", "--quiet", "--message", "Begin"]);
        Ok(scratch)
    }

    fn show(&self, output: Output) -> Result<(), CliError> {
        step(output, &format!("a scratch project, in {}", self.project.display()))?;
        step(output, "its test:  $ sh test.sh")?;
        if self.test(Stdio::inherit())?.success() {
            return Err(failed("The test passes before the turn"));
        }
        step(output, &format!("a turn:  $ skein exec {PROMPT:?}"))?;
        let mut exec = self.skein(["exec"]);
        if !self.has_git {
            exec.arg("--skip-git-repo-check");
        }
        exec.arg(PROMPT).current_dir(&self.project).stdin(Stdio::null());
        let status = status(&mut exec)?;
        if status.code() == Some(i32::from(Signal::Interrupt.exit_code())) {
            return Err(failed("The demo was interrupted"));
        }
        if !status.success() {
            return Err(CliError::Failed {
                message: format!("The turn did not end as it should ({status})"),
                hint: Some("`skein doctor` says what this machine lacks".to_owned()),
            });
        }
        step(output, "the test again, without the agent:  $ sh test.sh")?;
        if !self.test(Stdio::inherit())?.success() {
            return Err(failed("The test still fails"));
        }
        if self.outside.exists() {
            return Err(failed("The sandbox let the agent write outside the project"));
        }
        step(output, "the file outside the project was not written")?;
        if self.has_git {
            step(output, "what changed:  $ git diff --stat")?;
            self.git(&["--no-pager", "diff", "--stat"]);
        }
        step(output, "the session stays:  $ skein sessions list")?;
        if !status_of(&mut self.skein(["sessions", "list"]))? {
            return Err(failed("The session is not in the list"));
        }
        Ok(())
    }

    fn test(&self, stdout: Stdio) -> Result<ExitStatus, CliError> {
        status(
            Command::new("sh").arg("test.sh").current_dir(&self.project).stdin(Stdio::null()).stdout(stdout),
        )
    }

    /// This executable, in the scratch home.
    fn skein<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(arguments).env("SKEIN_HOME", &self.home);
        command
    }

    /// Whether git is there and did it. A user's own hooks, signatures and templates stay out of it.
    fn git(&self, arguments: &[&str]) -> bool {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=Skein", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"]);
        git.args(["-c", "core.hooksPath=", "-c", "init.templateDir=", "-c", "init.defaultBranch=main"]);
        git.args(arguments).current_dir(&self.project).stdin(Stdio::null());
        git.status().is_ok_and(|status| status.success())
    }
}

/// A home whose model follows the script. Only the project may be written, so that the sandbox can be seen to
/// hold wherever the scratch folder is.
fn settings(script: &Path) -> String {
    // A JSON string is a TOML string.
    let script = serde_json::Value::from(script.to_string_lossy());
    format!(
        "model = \"scripted\"\n\
         model_provider = \"demo\"\n\
         \n\
         [sandbox_workspace_write]\n\
         exclude_slash_tmp = true\n\
         exclude_tmpdir_env_var = true\n\
         \n\
         [model_providers.demo]\n\
         name = \"Demo\"\n\
         wire_api = \"replay\"\n\
         script = {script}\n"
    )
}

fn next(output: Output) -> Result<(), CliError> {
    let text = format!(
        "\n{}\n\n\
         Now with a real model, in a repository of yours. One of these is enough:\n\
         \x20 export ANTHROPIC_API_KEY=…       or OPENAI_API_KEY, GEMINI_API_KEY, OPENROUTER_API_KEY\n\
         \x20 skein login                      a ChatGPT account; `skein login NAME` stores a key\n\
         \x20 skein models pull gpt-oss:20b    for the Ollama or LM Studio that runs on this machine\n\n\
         Then talk in the terminal, or ask once:\n\
         \x20 skein\n\
         \x20 skein exec \"explain this repository\"\n\n\
         `skein models list` says which model that takes, and why; `skein doctor` what is wrong.",
        output.out.green("All of it held."),
    );
    output.line(text).map_err(CliError::Output)
}

fn step(output: Output, text: &str) -> Result<(), CliError> {
    output
        .line(format_args!("\n{} {}", output.out.green("▸"), output.out.bold(text)))
        .map_err(CliError::Output)
}

fn status(command: &mut Command) -> Result<ExitStatus, CliError> {
    command.status().map_err(|source| CliError::System { what: "Can't run a step of the demo", source })
}

fn status_of(command: &mut Command) -> Result<bool, CliError> {
    Ok(status(command)?.success())
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    fs::write(path, text).map_err(|source| CliError::File { action: "write", path: path.to_owned(), source })
}

fn failed(message: &str) -> CliError {
    CliError::Failed { message: message.to_owned(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test_with(program: &str) -> ExitStatus {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("leap.sh"), program).unwrap();
        fs::write(scratch.path().join("test.sh"), TEST).unwrap();
        Command::new("sh").arg("test.sh").current_dir(scratch.path()).stdout(Stdio::null()).status().unwrap()
    }

    #[test]
    fn the_project_fails_before_the_patch_and_passes_after_it() {
        assert_eq!(test_with(PROGRAM).code(), Some(1));
        let line = |mark: char| {
            let lines = SCRIPT.lines().filter_map(|line| line.strip_prefix(mark));
            lines.collect::<Vec<_>>().join("\n")
        };
        let (removed, added) = (line('-'), line('+'));
        assert!(PROGRAM.contains(&removed));
        assert!(test_with(&PROGRAM.replace(&removed, &added)).success());
    }
}
