//! Runs the user's git for a command that the user typed, as a command of a repository that may be hostile: without its
//! hooks, its pager, its external diffs, its own filters, or what stands in the environment of this process for another
//! repository.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::CliError;

/// What of the configuration never holds.
const CONFIGURATION: [&str; 4] =
    ["core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.ext.allow=never", "diff.external="];
/// Variables that name another repository or another program.
const REMOVED: [&str; 10] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_EDITOR",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
];

/// Git in a folder.
pub(crate) struct Git {
    program: PathBuf,
    folder: PathBuf,
}

impl Git {
    /// The git of the `PATH`; what stands there relative to the folder is not looked at.
    pub(crate) fn new(folder: &Path) -> Result<Self, CliError> {
        let path = env::var_os("PATH").unwrap_or_default();
        let name = format!("git{}", env::consts::EXE_SUFFIX);
        let found = env::split_paths(&path).filter(|at| at.is_absolute()).map(|at| at.join(&name));
        let program = found.into_iter().find(|program| program.is_file()).ok_or_else(|| {
            CliError::usage("There is no `git` in the `PATH`", "Install git, or work without this flag")
        })?;
        Ok(Self { program, folder: folder.to_owned() })
    }

    /// What it prints, without the last line's end.
    pub(crate) fn run<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, CliError> {
        let mut command = self.command();
        let keys = self.filters().into_iter().flat_map(|filter| {
            let key = |end: &str| format!("filter.{filter}.{end}");
            [(key("clean"), ""), (key("smudge"), ""), (key("process"), ""), (key("required"), "false")]
        });
        // As variables, because a name may hold what ends a key on the command line.
        let mut count = 0;
        for (key, value) in keys {
            command.env(format!("GIT_CONFIG_KEY_{count}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
        command.args(arguments);
        let ended =
            command.output().map_err(|source| CliError::System { what: "Can't start git", source })?;
        if ended.status.success() {
            return Ok(String::from_utf8_lossy(&ended.stdout).trim_end_matches('\n').to_owned());
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        let line = said.lines().rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
        let message = format!("git failed: {}", line.trim_start_matches("fatal: "));
        Err(CliError::Failed { message, hint: None })
    }

    /// The names of the filters that the repository itself names programs for; those of the user's own settings may run.
    fn filters(&self) -> BTreeSet<String> {
        let mut command = self.command();
        command.args(["config", "--null", "--show-scope", "--name-only", "--get-regexp", r"^filter\."]);
        let Ok(ended) = command.output() else { return BTreeSet::new() };
        let text = String::from_utf8_lossy(&ended.stdout);
        let mut parts = text.split('\0');
        let mut found = BTreeSet::new();
        while let (Some(scope), Some(key)) = (parts.next(), parts.next()) {
            let name = key.split_once('.').and_then(|(_, rest)| rest.rsplit_once('.'));
            let is_own = matches!(scope, "local" | "worktree");
            found.extend(name.filter(|_| is_own).map(|(name, _)| name.to_owned()));
        }
        found
    }

    /// Git without what a repository could have it run, but for filters.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--no-pager").arg("-C").arg(&self.folder);
        for setting in CONFIGURATION {
            command.arg("-c").arg(setting);
        }
        for name in REMOVED {
            command.env_remove(name);
        }
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
        command.stdin(Stdio::null());
        command
    }

    /// The commit that a name means.
    pub(crate) fn commit(&self, name: &str) -> Result<String, CliError> {
        let name = format!("{name}^{{commit}}");
        self.run(["rev-parse", "--verify", "--quiet", "--end-of-options", &name]).map_err(|_| {
            let name = name.trim_end_matches("^{commit}");
            CliError::usage(format!("`{name}` is no commit of this repository"), "`git log` shows them")
        })
    }
}
