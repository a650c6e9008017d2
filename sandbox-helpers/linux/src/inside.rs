//! The part of the helper that `bwrap` starts: looks whether the view is the one that was meant, and goes on as the first
//! process of its namespaces. Knows what it was told in its briefing.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use helper_protocol::plan::Access;
use helper_protocol::report::Failure;
use rustix::process::PidfdFlags;

use crate::bwrap::{self, Briefing};
use crate::command::Prepared;
use crate::failure::Step;
use crate::grants::Grant;
use crate::hand::{Giver, Thing};
use crate::inner::{self, Task, View};
use crate::mounts;
use crate::outer::walls_in_namespaces;
use crate::places::open_real;
use crate::syscall;

/// Runs the command of the briefing in this descriptor, and ends this process.
pub(crate) fn run(arguments: &[OsString]) -> ! {
    let number = arguments.first().and_then(|number| number.to_str()?.parse().ok());
    let Some(briefing) = number.and_then(read) else { syscall::exit(2) };
    let [setup, ended, giver] = [briefing.setup, briefing.ended, briefing.giver].map(syscall::inherited);
    let [stdout, stderr] = briefing.streams.map(syscall::inherited);
    let (Some(setup), Some(ended), Some(giver), Some(stdout), Some(stderr)) =
        (setup, ended, giver, stdout, stderr)
    else {
        syscall::exit(2);
    };
    match prepare(&briefing, Giver(giver), [stdout, stderr]) {
        Ok((prepared, giver)) => {
            let writable = briefing.writable.iter().map(bwrap::path);
            let writable = writable.map(|path| Grant { path: path.into(), access: Access::Write }).collect();
            let walls = walls_in_namespaces(&briefing.rules, writable, briefing.plan.interception);
            inner::run(Task { prepared: &prepared, walls: &walls, view: View::Made, giver, setup, ended })
        }
        Err(failure) => inner::tell(&setup, &failure),
    }
    syscall::exit(1);
}

fn read(number: i32) -> Option<Briefing> {
    let mut text = Vec::new();
    std::fs::File::from(syscall::inherited(number)?).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn prepare(
    briefing: &Briefing,
    giver: Giver,
    [stdout, stderr]: [OwnedFd; 2],
) -> Result<(Prepared, Giver), Failure> {
    // Before this the outer process heeds no order: `bwrap` that is killed half-way leaves a process that waits for ever.
    let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty());
    giver.give(Thing::First, own.step("hold this process")?)?;
    rustix::stdio::dup2_stdout(stdout).step("set standard output")?;
    rustix::stdio::dup2_stderr(stderr).step("set standard error")?;
    syscall::close_all_but_stdio_at_exec().step("close descriptors")?;
    if let Some(most) = briefing.numbers {
        open_real(Path::new("/proc"))
            .and_then(|processes| mounts::bound_processes(&processes, most))
            .step("bound the number of processes")?;
    }
    for (path, device, number) in &briefing.meant {
        let stat = open_real(bwrap::path(path)).and_then(rustix::fs::fstat);
        if !stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (*device, *number)) {
            return Err(Failure::Changed { path: path.clone() });
        }
    }
    Ok((Prepared::new(&briefing.plan)?, giver))
}
