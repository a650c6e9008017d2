//! What a dead daemon leaves, and the next one finds.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use protocol::profile::SandboxRung;
use rustix::process::{Pid, Signal, kill_process};
use sandbox::{Exit, Launcher};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::processes::{at_end, everywhere, left, stubborn};
use crate::site::{Site, helper};

/// The numbers in the names of a register's entries: process and start time; the third is a mark.
fn entries(register: &Path) -> Vec<(i32, u64)> {
    let Ok(entries) = fs::read_dir(register) else { return Vec::new() };
    let names = entries.map(|entry| entry.expect("entry").file_name().into_string().expect("text"));
    let numbers = names.map(|name| {
        let [pid, started, _mark] = name.split('-').collect::<Vec<_>>()[..] else { panic!("{name}") };
        (pid.parse().expect("process"), started.parse().expect("time"))
    });
    numbers.collect()
}

/// When a process started, as `/proc` says.
fn started(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    stat.rsplit(' ').nth(52 - 22).expect("field 22 of 52").trim().parse().expect("time")
}

/// A daemon that runs the stubborn script, its output, and its helper.
async fn daemon(site: &Site, mut command: Command) -> (Child, BufReader<ChildStdout>, Pid) {
    let register = site.path("children");
    let folder = match site.rung {
        SandboxRung::Refused => "-".into(),
        SandboxRung::Namespaces | SandboxRung::Bubblewrap | SandboxRung::Landlock => site.path("work"),
    };
    let mut daemon = command
        .arg("launch-registered")
        .arg(&register)
        .arg(folder)
        .args(["sh", "-c"])
        .arg(stubborn(site) + "wait")
        .stdout(Stdio::piped())
        .spawn()
        .expect("daemon");
    let mut output = BufReader::new(daemon.stdout.take().expect("output"));
    let mut line = String::new();
    output.read_line(&mut line).await.expect("line");
    assert_eq!(line, "ready\n");
    let [(pid, _)] = entries(&register)[..] else { panic!("{:?}", entries(&register)) };
    (daemon, output, Pid::from_raw(pid).expect("helper"))
}

/// Stops a process; returns when it stands still.
async fn stop(process: Pid) {
    kill_process(process, Signal::STOP).expect("stop");
    let stat = format!("/proc/{}/stat", process.as_raw_pid());
    while !fs::read_to_string(&stat).expect("stat").contains(") T ") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_helper_that_was_stopped_is_woken_by_the_end_of_its_daemon() {
    for site in everywhere().await {
        // As real daemons are: in a session of its own.
        let mut command = Command::new("setsid");
        command.arg(helper());
        let (mut daemon, output, helper) = daemon(&site, command).await;
        stop(helper).await;
        daemon.kill().await.expect("kill");
        at_end(output).await;
        assert_eq!(left(&site), [""; 0], "{:?}", site.rung);
    }
}

#[tokio::test]
async fn no_signal_but_the_last_one_parts_a_helper_from_its_tree() {
    for site in everywhere().await {
        let mut process = site.spawn(site.request(&[], "echo ready; read line < /dev/zero")).await;
        let helper = process.helper_id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("helper");
        for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM] {
            kill_process(helper, signal).expect("signal");
        }
        process.kill();
        assert_eq!(process.wait().await.expect("it lived to tell"), Exit::Signal(9), "{:?}", site.rung);
    }
}

#[tokio::test]
async fn a_tree_whose_helper_can_t_notice_is_killed_by_the_next_daemon() {
    // Helpers come to this process, which is of their session: so the kernel sees no reason to wake them.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("subreaper");
    for site in everywhere().await {
        let register = site.path("children");
        let (mut daemon, output, helper) = daemon(&site, Command::new(helper())).await;
        stop(helper).await;
        daemon.kill().await.expect("kill");
        assert_ne!(left(&site), [""; 0], "nobody has noticed");

        let reaping = register.clone();
        let killed = tokio::task::spawn_blocking(move || sandbox::reap(&reaping)).await.expect("reap");
        assert_eq!(killed, 1, "{:?}", site.rung);
        assert_eq!(left(&site), [""; 0], "{:?}", site.rung);
        assert_eq!(entries(&register), []);
        at_end(output).await;
    }
}

#[tokio::test]
async fn what_lost_helper_and_daemon_at_once_is_killed_by_the_next_daemon() {
    // What is orphaned comes to this process, so that it is reaped.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("subreaper");
    for site in everywhere().await {
        let register = site.path("children");
        let (mut daemon, output, helper) = daemon(&site, Command::new(helper())).await;
        stop(helper).await;
        let parent = Pid::from_raw(daemon.id().expect("daemon").cast_signed()).expect("daemon");
        kill_process(parent, Signal::KILL).expect("kill the daemon");
        kill_process(helper, Signal::KILL).expect("kill the helper");
        daemon.wait().await.expect("wait");
        let reaping = register.clone();
        tokio::task::spawn_blocking(move || sandbox::reap(&reaping)).await.expect("reap");
        at_end(output).await;
        assert_eq!(left(&site), [""; 0], "{:?}", site.rung);
        assert_eq!(entries(&register), []);
    }
}

#[test]
fn a_process_that_took_over_the_number_survives() {
    let scratch = tempfile::tempdir().expect("scratch");
    let mut foreign = std::process::Command::new("cat").stdin(Stdio::piped()).spawn().expect("foreign");
    let (pid, own) = (foreign.id(), std::process::id());
    // A helper that had the number before, one of a time before the machine was started anew, and one that is gone.
    for name in [format!("{pid}-1"), format!("{pid}-{}", started(pid)), "999999999-1".to_owned()] {
        fs::write(scratch.path().join(name + "-0123456789abcdef"), "").expect("entry");
    }
    // No entry at all.
    fs::write(scratch.path().join(format!("{own}.txt")), "").expect("file");
    assert_eq!(sandbox::reap(scratch.path()), 0);
    assert!(foreign.try_wait().expect("look").is_none(), "it was killed");
    assert_eq!(
        fs::read_dir(scratch.path()).expect("folder").count(),
        1,
        "all entries are gone, and only they"
    );
    foreign.kill().expect("kill");
    foreign.wait().expect("wait");
    assert_eq!(sandbox::reap(&scratch.path().join("none")), 0);
}

#[tokio::test]
async fn the_register_holds_those_that_run() {
    let site = Site::unrestricted();
    let register = site.path("children");
    let launcher = Launcher::new(helper(), None).with_register(register.clone());
    let mut first = launcher.spawn(site.request(&[], "sleep 1000")).await.expect("first");
    let mut second = launcher.spawn(site.request(&[], "sleep 1000")).await.expect("second");
    let mut running: Vec<_> = entries(&register).into_iter().map(|(pid, _)| pid.cast_unsigned()).collect();
    running.sort_unstable();
    let mut wanted = [first.helper_id().expect("first"), second.helper_id().expect("second")];
    wanted.sort_unstable();
    assert_eq!(running, wanted);
    for process in [&mut first, &mut second] {
        process.kill();
        process.wait().await.expect("end");
    }
    assert_eq!(entries(&register), []);
}
