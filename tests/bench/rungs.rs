//! What `true` costs on each rung of the sandbox, against itself without one and against `bwrap` by itself. Runs the
//! helper alone, without a daemon.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use protocol::profile::{Access, NetworkAccess, PathRule, Profile, SandboxMode, SandboxRung};
use sandbox::{CommandRequest, Interception, Launcher, Output, Proxy, Stdin};
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

use crate::measure::{Failure, Runs, children, median_ms};
use crate::table::Table;

/// Runs in a row, whose processor time is taken together: ended processes are counted when they are reaped.
const BATCH: u32 = 20;

const BWRAP: &str = "/usr/bin/bwrap";

/// By its path, so that none looks for it longer than another.
const TRUE: &str = "/usr/bin/true";

/// Each rung in turns with the bare program.
pub(crate) fn cost_of_true(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let rounds = runs.pick(15, 2);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of)?;
    let mut bare = Took::default();
    let bare_bwrap = ["--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", TRUE];
    let mut bwrap = Path::new(BWRAP).exists().then(Took::default);
    let mut rungs = Vec::new();
    for (rung, name) in [
        (SandboxRung::Namespaces, "namespaces"),
        (SandboxRung::Bubblewrap, "bwrap"),
        (SandboxRung::Landlock, "landlock"),
    ] {
        let launcher = Launcher::new(executable.to_owned(), Some(rung));
        if runtime.block_on(launcher.report()).chosen == rung {
            rungs.push((rung, name, launcher, Took::default()));
        }
    }
    for _ in 0..rounds {
        bare.add(|| plain(&mut Command::new(TRUE)))?;
        if let Some(bwrap) = &mut bwrap {
            bwrap.add(|| plain(Command::new(BWRAP).args(bare_bwrap)))?;
        }
        for (_, _, launcher, took) in &mut rungs {
            took.add(|| confined(&runtime, launcher))?;
        }
    }
    let bare = bare.medians();
    table.figure("bare true: CPU", bare.cpu, "ms");
    let bwrap = bwrap.map(Took::medians);
    for (rung, name, _, took) in rungs {
        let Medians { wall, cpu } = took.medians();
        table.figure(&format!("true on {name}: wall"), wall, "ms");
        let beyond = (cpu - bare.cpu).max(0.0);
        match (rung, &bwrap) {
            (SandboxRung::Namespaces, _) => {
                table.at_most("true on namespaces: CPU beyond bare", beyond, 3.0, "ms")
            }
            (SandboxRung::Landlock, _) => {
                table.at_most("true on landlock: CPU beyond bare", beyond, 1.5, "ms")
            }
            (SandboxRung::Bubblewrap, Some(alone)) => {
                table.figure("bwrap by itself: wall", alone.wall, "ms");
                table.at_most("true on bwrap: of bwrap by itself", wall / alone.wall, 1.3, "times");
            }
            (SandboxRung::Bubblewrap | SandboxRung::Refused, _) => {}
        }
    }
    Ok(())
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

fn confined(runtime: &Runtime, launcher: &Launcher) -> Result<(), Failure> {
    let paths = vec![PathRule { path: std::env::temp_dir(), access: Access::Write }];
    let request = CommandRequest {
        argv: vec![OsString::from(TRUE)],
        cwd: "/".into(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        profile: Profile::new(SandboxMode::WorkspaceWrite, Access::Read, paths, NetworkAccess::Off),
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
