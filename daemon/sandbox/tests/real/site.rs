//! A scratch folder with a workspace in it, and a launcher that runs scripts there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use protocol::item::Refusal;
use protocol::profile::{Access, NetworkAccess, PathRule, Profile, SandboxMode, SandboxRung};
use sandbox::{CommandRequest, Exit, Interception, Launcher, Output, Process, Proxy, SandboxError, Stdin};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

/// The rungs that enforce something.
pub(crate) const RUNGS: [SandboxRung; 3] =
    [SandboxRung::Namespaces, SandboxRung::Bubblewrap, SandboxRung::Landlock];

/// Those with namespaces.
pub(crate) const NAMESPACES: [SandboxRung; 2] = [SandboxRung::Namespaces, SandboxRung::Bubblewrap];

/// `work/src/kept` and `outside/kept`, and a launcher.
pub(crate) struct Site {
    _folder: TempDir,
    root: PathBuf,
    pub(crate) launcher: Launcher,
    pub(crate) rung: SandboxRung,
}

/// What a script did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) output: String,
    pub(crate) refusals: Vec<Refusal>,
}

impl Site {
    /// A site for each of these rungs that the machine has.
    pub(crate) async fn on(rungs: &[SandboxRung]) -> Vec<Self> {
        let mut sites = Vec::new();
        for &rung in rungs {
            let site = Self::new(rung);
            let report = site.launcher.report().await;
            if report.chosen == rung {
                sites.push(site);
            } else {
                skipped(&format!("{rung:?} is not available: {:?}", report.rungs));
            }
        }
        sites
    }

    /// A site with everything that the machine can do; for commands without restriction.
    pub(crate) fn unrestricted() -> Self {
        Self::new(SandboxRung::Refused)
    }

    fn new(rung: SandboxRung) -> Self {
        let folder = tempfile::tempdir().expect("scratch");
        let root = fs::canonicalize(folder.path()).expect("real path");
        for name in ["work/src/kept", "outside/kept"] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
            fs::write(path, "kept").expect("write");
        }
        Self { _folder: folder, root, launcher: Launcher::new(helper(), Some(rung)), rung }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        fs::write(path, content).expect("write");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A request with these rules, in the workspace.
    pub(crate) fn request(&self, rules: &[(&str, Access)], script: &str) -> CommandRequest {
        let mode = match self.rung {
            SandboxRung::Refused => SandboxMode::DangerFullAccess,
            SandboxRung::Namespaces | SandboxRung::Bubblewrap | SandboxRung::Landlock => {
                SandboxMode::WorkspaceWrite
            }
        };
        CommandRequest {
            argv: ["sh", "-c", script].map(Into::into).to_vec(),
            cwd: self.path("work"),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            profile: Profile::new(
                mode,
                Access::Read,
                rules.iter().map(|&(name, access)| PathRule { path: self.path(name), access }).collect(),
                NetworkAccess::Off,
            ),
            stdin: Stdin::Null,
            output: Output::Piped,
            proxy: Proxy::None,
            interception: Interception::Off,
        }
    }

    pub(crate) async fn spawn(&self, request: CommandRequest) -> Process {
        self.launcher.spawn(request).await.expect("the command starts")
    }

    /// Runs a script with these rules to its end.
    pub(crate) async fn run(&self, rules: &[(&str, Access)], script: &str) -> Ran {
        self.run_request(self.request(rules, script)).await
    }

    pub(crate) async fn run_request(&self, request: CommandRequest) -> Ran {
        let mut process = self.spawn(request).await;
        let mut output = String::new();
        process.take_output().read_to_string(&mut output).await.expect("output");
        let exit = process.wait().await.expect("exit");
        Ran { exit, output, refusals: process.refusals() }
    }

    /// Why a request is not run.
    pub(crate) async fn refusal(&self, request: CommandRequest) -> SandboxError {
        self.launcher.spawn(request).await.err().unwrap_or_else(|| panic!("the command started"))
    }

    /// The names in a folder.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).expect("folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// The helper's executable, which cargo builds with the tests.
pub(crate) fn helper() -> PathBuf {
    let own = std::env::current_exe().expect("own path");
    let profile = own.ancestors().nth(2).expect("profile folder");
    let helper = profile.join("examples/helper");
    assert!(helper.is_file(), "{} is missing; run: cargo build -p sandbox --examples", helper.display());
    helper
}

/// Says and records that the running test does not cover everything here; fails where it must.
pub(crate) fn skipped(reason: &str) {
    let thread = std::thread::current().name().map(str::to_owned);
    let test = std::env::var("NEXTEST_TEST_NAME").ok().or(thread).unwrap_or_default();
    // Past the capture of the test's output, so that it is seen.
    writeln!(std::io::stderr(), "SKIPPED {test}: {reason}").expect("standard error");
    assert!(std::env::var_os("SKEIN_CI").is_none(), "{test} may not be skipped here: {reason}");
    let own = std::env::current_exe().expect("own path");
    let target = own.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let folder = target.unwrap_or(Path::new("target")).join("skipped");
    fs::create_dir_all(&folder).expect("record");
    fs::write(folder.join(test.replace("::", ".")), reason).expect("record");
}
