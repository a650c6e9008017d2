//! What `true` costs on each rung of the sandbox, against itself without one and against `bwrap` by itself. Runs the
//! helper alone, without a daemon, with what a session in an ordinary repository may touch: most of what is protected
//! there does not exist, and mount points for it are made and removed for each command.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use protocol::profile::{Access, NetworkAccess, PathRule, Profile, SandboxMode, SandboxRung};
use sandbox::{CommandRequest, Interception, Launcher, Output, Proxy, Stdin};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

use crate::measure::{Failure, Runs, children, median_ms};
use crate::table::Table;

/// Runs in a row, whose processor time is taken together: ended processes are counted when they are reaped.
const BATCH: u32 = 20;

const BWRAP: &str = "/usr/bin/bwrap";

/// By its path, so that none looks for it longer than another.
const TRUE: &str = "/usr/bin/true";

/// Where a repository is: on a disk, and in no folder that is writable anyway.
const DISK: &str = "/var/tmp";

/// Each rung in turns with the bare program, and that of `bwrap` with `bwrap` by itself.
pub(crate) fn cost_of_true(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let rounds = runs.pick(15, 2);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of)?;
    let home = TempDir::new_in(DISK).map_err(Failure::of)?;
    let session = of_a_session(executable, home.path())?;
    let simple = simple();
    let has_bwrap = Path::new(BWRAP).exists();
    let (plain_view, same_view) = (bwrap_arguments(&[]), bwrap_arguments(&seen(&session)?));
    let mut bwrap = has_bwrap.then(|| (Took::default(), Took::default()));
    let mut rungs = Vec::new();
    // One rung after the other, each beside the bare program: what the kernel still takes apart of namespaces, for a second
    // or more, slows whatever runs then, and is no cost of that. So the rung without any comes first.
    for (rung, name) in [
        (SandboxRung::Landlock, "landlock"),
        (SandboxRung::Bubblewrap, "bwrap"),
        (SandboxRung::Namespaces, "namespaces"),
    ] {
        let launcher = Launcher::new(executable.to_owned(), Some(rung)).one_ahead();
        if runtime.block_on(launcher.report()).chosen != rung {
            continue;
        }
        let (mut bare, mut took, mut took_simple) = (Took::default(), Took::default(), Took::default());
        for _ in 0..rounds {
            bare.add(|| plain(&mut Command::new(TRUE)))?;
            if let (SandboxRung::Bubblewrap, Some((alone, same))) = (rung, &mut bwrap) {
                alone.add(|| plain(Command::new(BWRAP).args(&plain_view)))?;
                same.add(|| plain(Command::new(BWRAP).args(&same_view)))?;
            }
            took.add(|| confined(&runtime, &launcher, &session))?;
            took_simple.add(|| confined(&runtime, &launcher, &simple))?;
        }
        rungs.push((rung, name, bare.medians().cpu, took, took_simple));
    }
    let bwrap = bwrap.map(|(alone, same)| (alone.medians(), same.medians()));
    for (rung, name, bare, took, took_simple) in rungs {
        let (Medians { wall, cpu }, simple) = (took.medians(), took_simple.medians());
        table.figure(&format!("bare true beside {name}: CPU"), bare, "ms");
        table.figure(&format!("true on {name}: wall"), wall, "ms");
        let beyond = |cpu: f64| (cpu - bare).max(0.0);
        let with_nothing = format!("true on {name}, nothing protected: CPU beyond bare");
        match (rung, &bwrap) {
            (SandboxRung::Namespaces, _) => {
                table.at_most("true on namespaces: CPU beyond bare", beyond(cpu), 3.0, "ms");
                table.at_most(&with_nothing, beyond(simple.cpu), 3.0, "ms");
            }
            (SandboxRung::Landlock, _) => {
                table.at_most("true on landlock: CPU beyond bare", beyond(cpu), 1.5, "ms");
                table.at_most(&with_nothing, beyond(simple.cpu), 1.5, "ms");
            }
            (SandboxRung::Bubblewrap, Some((alone, same))) => {
                table.figure("bwrap by itself: wall", alone.wall, "ms");
                table.figure("bwrap by itself, with the same view: wall", same.wall, "ms");
                let of_same = wall / same.wall;
                table.at_most("true on bwrap: of bwrap by itself, with the same view", of_same, 1.3, "times");
                let of_alone = simple.wall / alone.wall;
                table.at_most("true on bwrap, nothing protected: of bwrap by itself", of_alone, 1.3, "times");
            }
            (SandboxRung::Bubblewrap | SandboxRung::Refused, _) => {}
        }
    }
    Ok(())
}

/// What a command may touch, and where it runs.
struct Subject {
    profile: Profile,
    cwd: PathBuf,
}

/// A session's, in a repository below this folder: as `skein sandbox --explain` tells it.
fn of_a_session(executable: &Path, home: &Path) -> Result<Subject, Failure> {
    let (repository, own) = (home.join("repository"), home.join("skein"));
    for folder in ["repository/.git/objects", "repository/.git/refs", "repository/src", "skein", ".ssh"] {
        fs::create_dir_all(home.join(folder)).map_err(Failure::of)?;
    }
    let settings = "model_provider = \"mine\"\nmodel = \"m\"\n[model_providers.mine]\n\
                    base_url = \"http://127.0.0.1:1/v1\"\n";
    for (name, text) in [
        ("repository/.git/HEAD", "ref: refs/heads/main\n"),
        ("repository/.git/config", ""),
        ("repository/README", ""),
        ("skein/config.toml", settings),
    ] {
        fs::write(home.join(name), text).map_err(Failure::of)?;
    }
    let told = Command::new(executable)
        .args(["sandbox", "--policy", "workspace-write", "--json", "--explain"])
        .current_dir(&repository)
        .env("HOME", home)
        .env("SKEIN_HOME", own)
        .stdin(Stdio::null())
        .output()
        .map_err(Failure::of)?;
    let mut told: Value = serde_json::from_slice(&told.stdout)
        .map_err(|error| Failure::Other(format!("`skein sandbox --explain` told no profile ({error})")))?;
    let profile = serde_json::from_value(told["profile"].take()).map_err(Failure::of)?;
    Ok(Subject { profile, cwd: repository })
}

/// Nothing but temporary files may be written, and so nothing has to be protected.
fn simple() -> Subject {
    let paths = vec![PathRule { path: std::env::temp_dir(), access: Access::Write }];
    let profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, paths, NetworkAccess::Off);
    Subject { profile, cwd: "/".into() }
}

/// What `bwrap` would be told for the same view. It can only protect what is there: so in place of what is not, it gets
/// another folder with all of it.
fn seen(subject: &Subject) -> Result<Vec<PathRule>, Failure> {
    let repository = &subject.cwd;
    let whole = repository.with_file_name("whole");
    let mut seen = Vec::new();
    for rule in &subject.profile.paths {
        let path = match rule.path.strip_prefix(repository) {
            Ok(below) => whole.join(below),
            Err(_) if rule.path.exists() => rule.path.clone(),
            Err(_) => continue,
        };
        fs::create_dir_all(&path).map_err(Failure::of)?;
        seen.push(PathRule { path, access: rule.access });
    }
    seen.sort_by(|left, right| left.path.cmp(&right.path));
    seen.dedup_by(|later, earlier| later.path == earlier.path);
    Ok(seen)
}

/// For a run of `true`.
fn bwrap_arguments(view: &[PathRule]) -> Vec<OsString> {
    let base = ["--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"];
    let mut arguments: Vec<OsString> = base.map(OsString::from).into();
    for PathRule { path, access } in view {
        let words: &[&OsStr] = match access {
            Access::Hidden => &["--tmpfs".as_ref(), path.as_ref(), "--remount-ro".as_ref(), path.as_ref()],
            Access::Read => &["--ro-bind".as_ref(), path.as_ref(), path.as_ref()],
            Access::Write => &["--bind".as_ref(), path.as_ref(), path.as_ref()],
        };
        arguments.extend(words.iter().map(OsString::from));
    }
    arguments.push(TRUE.into());
    arguments
}

/// What runs took.
#[derive(Default)]
struct Took {
    wall: Vec<Duration>,
    cpu: Vec<Duration>,
}

/// In milliseconds.
struct Medians {
    wall: f64,
    cpu: f64,
}

impl Took {
    fn add(&mut self, mut run: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
        let before = children()?;
        for _ in 0..BATCH {
            let begin = Instant::now();
            run()?;
            self.wall.push(begin.elapsed());
        }
        self.cpu.push(children()?.saturating_sub(before) / BATCH);
        Ok(())
    }

    fn medians(self) -> Medians {
        Medians { wall: median_ms(self.wall), cpu: median_ms(self.cpu) }
    }
}

fn plain(command: &mut Command) -> Result<(), Failure> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().map_err(Failure::of)?;
    if status.success() { Ok(()) } else { Err(Failure::Other(format!("`true` ended with {status}"))) }
}

fn confined(runtime: &Runtime, launcher: &Launcher, subject: &Subject) -> Result<(), Failure> {
    let request = CommandRequest {
        argv: vec![OsString::from(TRUE)],
        cwd: subject.cwd.clone(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        profile: subject.profile.clone(),
        stdin: Stdin::Null,
        output: Output::Piped,
        proxy: Proxy::None,
        interception: Interception::Off,
    };
    runtime.block_on(async {
        let mut process = launcher.spawn(request).await.map_err(Failure::of)?;
        process.take_output().read_to_end(&mut Vec::new()).await.map_err(Failure::of)?;
        process.wait().await.map(drop).map_err(Failure::of)
    })
}
