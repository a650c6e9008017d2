//! A scratch home with a scratch repository, whose settings point at a model server. Knows where the settings
//! are and how to end what it started.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::environment::executable::skein_exe;
use crate::environment::leftover::{self, Leftover};
use crate::environment::process::{Invocation, Output, Running};
use crate::error::HarnessError;
use crate::scripted_model::server::ScriptedModel;

/// The variable that holds the provider's key.
pub const KEY_VARIABLE: &str = "SCRIPTED_API_KEY";
/// What is in it.
pub const KEY: &str = "sk-scripted";

/// How long the daemon is given to stop when asked.
const STOP_LIMIT: Duration = Duration::from_secs(12);
/// How long a killed process may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How often processes are looked for: each may have started another while it was killed.
const ROUNDS: usize = 5;

/// A home of its own. Dropping it asks its daemon to stop, kills what is left, and removes its files.
#[derive(Debug)]
pub struct TestEnv {
    root: TempDir,
    executable: PathBuf,
    path: OsString,
}

impl TestEnv {
    /// A home whose provider is this server.
    ///
    /// # Errors
    /// `NotBuilt`, `SetUp`, `Preparation`.
    pub fn new(model: &ScriptedModel) -> Result<Self, HarnessError> {
        Self::with_base_url(&model.base_url())
    }

    /// A home whose provider is at this address, alive or not.
    ///
    /// # Errors
    /// `NotBuilt`, `SetUp`, `Preparation`.
    pub fn with_base_url(base_url: &str) -> Result<Self, HarnessError> {
        Self::with_executable(skein_exe()?, base_url)
    }

    /// A home for another executable.
    ///
    /// # Errors
    /// `SetUp`, `Preparation`.
    pub fn with_executable(executable: PathBuf, base_url: &str) -> Result<Self, HarnessError> {
        let root = tempfile::Builder::new().prefix("skein-").tempdir();
        let root = root.map_err(|source| HarnessError::SetUp { path: std::env::temp_dir(), source })?;
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let env = Self { root, executable, path };
        for folder in [env.home(), env.skein_home(), env.repository(), env.temporary()] {
            fs::create_dir(&folder).map_err(set_up(&folder))?;
        }
        env.write_settings(&settings(base_url))?;
        let user = "[user]\n\tname = Test\n\temail = test@example.invalid\n[init]\n\tdefaultBranch = main\n";
        write(&env.home().join(".gitconfig"), user)?;
        env.write_file("README.md", "A scratch repository.\n")?;
        env.git(["init", "--quiet"])?;
        env.git(["add", "--all"])?;
        env.git(["commit", "--quiet", "--message", "Begin"])?;
        Ok(env)
    }

    /// `HOME`.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// `SKEIN_HOME`.
    #[must_use]
    pub fn skein_home(&self) -> PathBuf {
        self.root.path().join("skein")
    }

    /// The scratch repository, where everything is run unless told otherwise. It has one commit.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.root.path().join("repository")
    }

    /// `TMPDIR`.
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.root.path().join("tmp")
    }

    /// The settings' file.
    #[must_use]
    pub fn settings_file(&self) -> PathBuf {
        self.skein_home().join("config.toml")
    }

    /// Replaces the settings.
    ///
    /// # Errors
    /// `SetUp`.
    pub fn write_settings(&self, text: &str) -> Result<(), HarnessError> {
        write(&self.settings_file(), text)
    }

    /// Puts lines before the settings: keys of the top level.
    ///
    /// # Errors
    /// `SetUp`.
    pub fn prepend_settings(&self, lines: &str) -> Result<(), HarnessError> {
        let old = self.read_settings()?;
        self.write_settings(&format!("{lines}\n{old}"))
    }

    /// Puts lines after the settings: keys of the provider, such as its retries, then tables.
    ///
    /// # Errors
    /// `SetUp`.
    pub fn append_settings(&self, lines: &str) -> Result<(), HarnessError> {
        let old = self.read_settings()?;
        self.write_settings(&format!("{old}{lines}\n"))
    }

    fn read_settings(&self) -> Result<String, HarnessError> {
        let path = self.settings_file();
        fs::read_to_string(&path).map_err(set_up(&path))
    }

    /// Writes a file of the repository, with the folders above it.
    ///
    /// # Errors
    /// `SetUp`.
    pub fn write_file(&self, path: impl AsRef<Path>, text: &str) -> Result<(), HarnessError> {
        let path = self.repository().join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(set_up(folder))?;
        }
        write(&path, text)
    }

    /// Reads a file of the repository.
    ///
    /// # Errors
    /// `SetUp` when it is not there or no text.
    pub fn read_file(&self, path: impl AsRef<Path>) -> Result<String, HarnessError> {
        let path = self.repository().join(path);
        fs::read_to_string(&path).map_err(set_up(&path))
    }

    /// Runs git in the repository and returns what it prints.
    ///
    /// # Errors
    /// `Command`, `Timeout`, `Preparation` when git fails.
    pub fn git<A: Into<OsString>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, HarnessError> {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let command = format!("git {}", arguments.join(" ".as_ref()).to_string_lossy());
        let output = self.dressed(Invocation::new("git", arguments, self.repository())).run()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(HarnessError::Preparation { command, status: output.status.to_string(), stderr: output.stderr })
    }

    /// The binary with these arguments, in the repository, to be changed before it is run.
    #[must_use]
    pub fn command<A: Into<OsString>>(&self, arguments: impl IntoIterator<Item = A>) -> Invocation {
        self.dressed(Invocation::new(&self.executable, arguments, self.repository()))
    }

    /// The search path of what starts from now on, and of clients that connect.
    #[must_use]
    pub fn path(&self) -> &OsStr {
        &self.path
    }

    /// Has this folder searched before all others.
    pub fn search_first(&mut self, folder: &Path) {
        let mut path = folder.as_os_str().to_owned();
        path.push(":");
        path.push(&self.path);
        self.path = path;
    }

    /// Runs the binary to its end.
    ///
    /// # Errors
    /// `Command`, `Timeout`.
    pub fn run<A: Into<OsString>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Output, HarnessError> {
        self.command(arguments).run()
    }

    /// Starts the binary.
    ///
    /// # Errors
    /// `Command`.
    pub fn spawn<A: Into<OsString>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Running, HarnessError> {
        self.command(arguments).spawn()
    }

    /// The process id of the daemon that has this home, from its lock file; none if none runs.
    #[must_use]
    pub fn daemon_pid(&self) -> Option<i32> {
        self.daemon().map(|daemon| daemon.pid)
    }

    /// The daemon that has this home, if one runs.
    #[must_use]
    pub fn daemon(&self) -> Option<Leftover> {
        let text = fs::read_to_string(self.skein_home().join("state").join("daemon.lock")).ok()?;
        leftover::with_pid(text.trim().parse().ok()?, "daemon")
    }

    /// Every process of this home that runs now: daemon, clients, commands of the agent.
    #[must_use]
    pub fn processes(&self) -> Vec<Leftover> {
        let mut found = leftover::of_home(&self.home());
        // A daemon lets nobody but root see its variables.
        found.extend(self.daemon().filter(|daemon| found.iter().all(|process| process.pid != daemon.pid)));
        found
    }

    /// Asks the daemon to stop, then kills what is left. Returns the command lines of what had to be killed.
    pub fn stop(&self) -> Vec<String> {
        if self.processes().is_empty() {
            return Vec::new();
        }
        // Whether this works or not shows in what is left.
        let _ = self.command(["daemon", "stop"]).limit(STOP_LIMIT).run();
        let mut killed = Vec::new();
        for _ in 0..ROUNDS {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            for process in &left {
                process.kill();
            }
            for process in left {
                // One that does not die is found again in the next round.
                let _ = process.wait(KILL_LIMIT);
                killed.push(process.command);
            }
        }
        killed
    }

    fn dressed(&self, invocation: Invocation) -> Invocation {
        invocation
            .variable("PATH", self.path.clone())
            .variable("HOME", self.home())
            .variable("SKEIN_HOME", self.skein_home())
            .variable("TMPDIR", self.temporary())
            .variable("LANG", "C.UTF-8")
            .variable("GIT_CONFIG_NOSYSTEM", "1")
            .variable(KEY_VARIABLE, KEY)
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        self.stop();
    }
}

fn settings(base_url: &str) -> String {
    format!(
        "model = \"scripted\"\n\
         model_provider = \"scripted\"\n\
         \n\
         [model_providers.scripted]\n\
         name = \"Scripted\"\n\
         base_url = \"{base_url}\"\n\
         env_key = \"{KEY_VARIABLE}\"\n\
         wire_api = \"responses\"\n"
    )
}

fn write(path: &Path, text: &str) -> Result<(), HarnessError> {
    fs::write(path, text).map_err(set_up(path))
}

fn set_up(path: &Path) -> impl FnOnce(io::Error) -> HarnessError {
    let path = path.to_owned();
    |source| HarnessError::SetUp { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell_env() -> TestEnv {
        TestEnv::with_executable("/bin/sh".into(), "http://127.0.0.1:1/v1").unwrap()
    }

    #[test]
    fn the_program_runs_in_the_repository_with_a_home_of_its_own() {
        let env = shell_env();
        let output = env.run(["-c", "pwd; echo $HOME; echo $SKEIN_HOME; echo $SCRIPTED_API_KEY"]).unwrap();
        let expected = [env.repository(), env.home(), env.skein_home(), KEY.into()];
        let expected: Vec<_> = expected.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(output.stdout.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_repository_is_clean_and_has_one_commit() {
        let env = shell_env();
        assert_eq!(env.git(["status", "--porcelain"]).unwrap(), "");
        assert_eq!(env.git(["rev-list", "--count", "HEAD"]).unwrap(), "1\n");
        assert!(matches!(env.git(["no-such-command"]), Err(HarnessError::Preparation { .. })));
    }

    #[test]
    fn settings_are_extended_at_both_ends() {
        let env = shell_env();
        env.prepend_settings("approval_policy = \"never\"").unwrap();
        env.append_settings("request_max_retries = 0").unwrap();
        let text = fs::read_to_string(env.settings_file()).unwrap();
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["approval_policy"].as_str(), Some("never"));
        let provider = &table["model_providers"]["scripted"];
        assert_eq!(provider["base_url"].as_str(), Some("http://127.0.0.1:1/v1"));
        assert_eq!(provider["request_max_retries"].as_integer(), Some(0));
    }

    #[test]
    fn what_does_not_stop_when_asked_is_killed_and_told() {
        let env = shell_env();
        assert_eq!(env.stop(), [""; 0]);
        env.run(["-c", "setsid sleep 601 >/dev/null 2>&1 </dev/null & exit 0"]).unwrap();
        assert_eq!(env.processes().len(), 1);
        let killed = env.stop();
        assert!(killed.len() == 1 && killed[0].contains("sleep 601"), "{killed:?}");
        assert!(env.processes().is_empty());
    }

    #[test]
    fn dropping_a_home_removes_its_files_and_processes() {
        let env = shell_env();
        env.run(["-c", "setsid sleep 602 >/dev/null 2>&1 </dev/null & exit 0"]).unwrap();
        let (root, process) = (env.root.path().to_owned(), env.processes().remove(0));
        drop(env);
        assert!(!root.exists() && process.wait(Duration::ZERO));
    }
}
