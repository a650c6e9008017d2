//! How commands are started, what they see of it, and that all of them end.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use protocol::profile::{Access::Write, SandboxRung};
use rustix::process::{Pid, Signal, kill_process};
use sandbox::{Exit, Process, SandboxError, Stdin};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::site::{NAMESPACES, RUNGS, Site, helper};

/// Each rung that the machine has, and no restriction.
pub(crate) async fn everywhere() -> Vec<Site> {
    let mut sites = Site::on(&RUNGS).await;
    sites.push(Site::unrestricted());
    sites
}

/// A script whose children have sessions of their own, are orphans, ignore signals and hold the output. Prints
/// `ready`; all of it has the site's path as an argument.
pub(crate) fn stubborn(site: &Site) -> String {
    let mark = site.path("mark");
    let mark = mark.display();
    format!(
        "trap '' TERM HUP INT
         setsid sh -c '(setsid sh -c \"sleep 1000; : {mark}\" &) ; sleep 1000; : {mark}' &
         (sleep 1000; : {mark}) &
         echo ready
         "
    )
}

/// Processes that have the site's path as an argument.
pub(crate) fn left(site: &Site) -> Vec<String> {
    let mark = site.path("mark");
    let entries = fs::read_dir("/proc").expect("/proc");
    let lines = entries.filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
    lines.filter(|line| line.contains(mark.to_str().expect("text"))).collect()
}

/// Waits until the script says that it is ready; gives the rest of the output.
async fn ready(process: &mut Process) -> Box<dyn AsyncRead + Unpin> {
    let mut output = BufReader::new(process.take_output());
    let mut line = String::new();
    output.read_line(&mut line).await.expect("line");
    assert_eq!(line, "ready\n");
    Box::new(output)
}

pub(crate) async fn at_end(mut output: impl AsyncRead + Unpin) {
    output.read_to_end(&mut Vec::new()).await.expect("the output ends");
}

#[tokio::test]
async fn the_end_is_that_of_the_command() {
    for site in everywhere().await {
        for (script, exit) in [
            ("exit 0", Exit::Code(0)),
            ("exit 7", Exit::Code(7)),
            ("kill -KILL $$", Exit::Signal(9)),
            ("kill -SEGV $$", Exit::Signal(11)),
        ] {
            assert_eq!(site.run(&[], script).await.exit, exit, "{script} {:?}", site.rung);
        }
    }
}

#[tokio::test]
async fn output_and_errors_come_in_order_and_input_is_empty() {
    for site in everywhere().await {
        let ran = site.run(&[], "echo 1; echo 2 >&2; cat; echo 3").await;
        assert_eq!(ran.output, "1\n2\n3\n", "{:?}", site.rung);
    }
}

#[tokio::test]
async fn the_output_ends_when_the_command_lets_go_of_it() {
    for site in everywhere().await {
        let script = "echo said; exec sleep 1000 >/dev/null 2>&1";
        let mut process = site.spawn(site.request(&[], script)).await;
        let (mut output, mut text) = (process.take_output(), String::new());
        let read = tokio::time::timeout(Duration::from_secs(10), output.read_to_string(&mut text)).await;
        read.unwrap_or_else(|_| panic!("somebody else holds it: {:?}", site.rung)).expect("output");
        assert_eq!(text, "said\n", "{:?}", site.rung);
    }
}

#[tokio::test]
async fn output_and_errors_can_be_told_apart() {
    for site in everywhere().await {
        let mut request = site.request(&[], "echo 1; echo 2 >&2; echo 3");
        request.output = sandbox::Output::Separate;
        let mut process = site.spawn(request).await;
        let (mut output, mut errors) = (process.take_output(), process.take_errors());
        let (mut from_output, mut from_errors) = (String::new(), String::new());
        let (read, read_errors) =
            tokio::join!(output.read_to_string(&mut from_output), errors.read_to_string(&mut from_errors));
        assert_eq!((read.expect("output"), read_errors.expect("errors")), (4, 2));
        assert_eq!((&*from_output, &*from_errors), ("1\n3\n", "2\n"), "{:?}", site.rung);
    }
}

#[tokio::test]
async fn input_and_output_can_be_the_caller_s_own() {
    let site = Site::unrestricted();
    for folder in ["-".into(), site.path("work")] {
        let mut caller = tokio::process::Command::new(helper())
            .arg("launch")
            .arg(folder)
            .arg("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("caller");
        caller.stdin.take().expect("input").write_all(b"through").await.expect("write");
        let output = caller.wait_with_output().await.expect("output");
        assert_eq!((output.status.success(), &*output.stdout), (true, &b"through"[..]));
    }
}

#[tokio::test]
async fn environment_and_descriptors_are_those_that_were_given() {
    for site in everywhere().await {
        let mut request = site.request(&[], "");
        request.argv = ["env"].map(Into::into).to_vec();
        request.environment = vec![("PATH".into(), "/usr/bin:/bin".into()), ("EMPTY".into(), "".into())];
        let output = site.run_request(request).await.output;
        let (marks, given): (Vec<_>, Vec<_>) =
            output.lines().partition(|variable| variable.starts_with("SKEIN_TREE="));
        assert_eq!(given, ["PATH=/usr/bin:/bin", "EMPTY="], "{:?}", site.rung);
        // By it all of a tree is found where there is no namespace of its processes.
        assert_eq!(marks.len(), usize::from(!NAMESPACES.contains(&site.rung)), "{:?} {output}", site.rung);
        // The fourth is the list's own.
        let ran = site.run(&[], "pwd; ls /proc/self/fd").await;
        assert_eq!(ran.output, format!("{}\n0\n1\n2\n3\n", site.path("work").display()), "{:?}", site.rung);
    }
}

#[tokio::test]
async fn what_can_t_run_says_why() {
    for site in everywhere().await {
        site.write("work/src/plain", "text");
        let with = |program: &Path| {
            let mut request = site.request(&[], "");
            request.argv = vec![program.into()];
            request
        };
        let missing = site.refusal(with(Path::new("no-such-program"))).await;
        assert_eq!(missing.to_string(), "Program `no-such-program` not found", "{:?}", site.rung);
        let missing = site.refusal(with(&site.path("work/none"))).await;
        assert!(matches!(missing, SandboxError::NotFound { .. }), "{:?} {missing:?}", site.rung);
        for name in ["work/src/plain", "work/src"] {
            let plain = site.refusal(with(&site.path(name))).await;
            assert!(matches!(plain, SandboxError::NotExecutable { .. }), "{:?} {plain:?}", site.rung);
        }
        let mut elsewhere = site.request(&[], "true");
        elsewhere.cwd = site.path("none");
        let elsewhere = site.refusal(elsewhere).await;
        assert!(matches!(elsewhere, SandboxError::Cwd { .. }), "{:?} {elsewhere:?}", site.rung);
    }
}

#[tokio::test]
async fn what_a_command_leaves_behind_dies_with_it() {
    for site in everywhere().await {
        let ran = site.run(&[], &stubborn(&site)).await;
        assert_eq!((ran.exit, &*ran.output), (Exit::Code(0), "ready\n"), "{:?}", site.rung);
        assert_eq!(left(&site), [""; 0], "{:?}", site.rung);
    }
}

#[tokio::test]
async fn killing_takes_the_whole_tree() {
    for site in everywhere().await {
        let script = stubborn(&site) + "wait";
        let mut process = site.spawn(site.request(&[("work", Write)], &script)).await;
        let output = ready(&mut process).await;
        process.kill();
        at_end(output).await;
        assert_eq!(process.wait().await.expect("exit"), Exit::Signal(9), "{:?}", site.rung);
        assert_eq!(left(&site), [""; 0], "{:?}", site.rung);
    }
}

#[tokio::test]
async fn dropping_takes_the_whole_tree() {
    for site in everywhere().await {
        let script = stubborn(&site) + "wait";
        let mut process = site.spawn(site.request(&[("work", Write)], &script)).await;
        let output = ready(&mut process).await;
        drop(process);
        // All of the tree holds the output.
        at_end(output).await;
    }
}

#[tokio::test]
async fn terminating_lets_a_command_clean_up() {
    for site in everywhere().await {
        let script = "trap 'echo cleaned; exit 3' TERM; echo ready; sleep 1000 & wait";
        let mut process = site.spawn(site.request(&[], script)).await;
        let mut output = ready(&mut process).await;
        process.terminate();
        let mut rest = String::new();
        output.read_to_string(&mut rest).await.expect("output");
        assert_eq!(rest, "cleaned\n", "{:?}", site.rung);
        assert_eq!(process.wait().await.expect("exit"), Exit::Code(3), "{:?}", site.rung);
    }
}

#[tokio::test]
async fn the_death_of_the_daemon_takes_the_whole_tree() {
    for site in everywhere().await {
        let folder = match site.rung {
            SandboxRung::Refused => "-".into(),
            SandboxRung::Namespaces | SandboxRung::Bubblewrap | SandboxRung::Landlock => site.path("work"),
        };
        let mut daemon = tokio::process::Command::new(helper())
            .arg("launch")
            .arg(folder)
            .args(["sh", "-c"])
            .arg(stubborn(&site) + "wait")
            .stdout(Stdio::piped())
            .spawn()
            .expect("daemon");
        let mut output = BufReader::new(daemon.stdout.take().expect("output"));
        let mut line = String::new();
        output.read_line(&mut line).await.expect("line");
        assert_eq!(line, "ready\n");
        daemon.kill().await.expect("kill");
        at_end(output).await;
    }
}

#[tokio::test]
async fn the_death_of_the_helper_takes_the_whole_tree() {
    for site in everywhere().await {
        let rules = [("work", Write), ("work/.git", protocol::profile::Access::Read)];
        let mut process = site.spawn(site.request(&rules, &(stubborn(&site) + "wait"))).await;
        let output = ready(&mut process).await;
        let helper = process.helper_id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("helper");
        kill_process(helper, Signal::KILL).expect("kill");
        let error = process.wait().await.expect_err("nobody knows how it ended");
        assert!(matches!(error, SandboxError::HelperDied { .. }), "{:?} {error:?}", site.rung);
        let said = error.to_string();
        assert!(said.contains("its sandbox helper was killed by signal: 9"), "{said}");
        at_end(output).await;
        assert!(left(&site).is_empty(), "{:?} {:?}", site.rung, left(&site));
        if !NAMESPACES.contains(&site.rung) {
            continue;
        }
        // What it could not clean up, the next command does.
        assert_eq!(site.names("work"), [".git", "src"]);
        site.run(&rules, "true").await;
        assert_eq!(site.names("work"), ["src"]);
    }
}

#[tokio::test]
async fn what_is_written_to_a_piped_input_is_read_and_so_is_its_end() {
    for site in everywhere().await {
        let mut request = site.request(&[], "read -r line; echo \"got $line\"; cat; echo end");
        request.stdin = Stdin::Piped;
        let mut process = site.spawn(request).await;
        let mut input = process.take_input().expect("input");
        assert!(process.take_input().is_none(), "it is taken once");
        let mut output = BufReader::new(process.take_output());
        let mut line = String::new();
        input.write_all(b"one\n").await.expect("write");
        output.read_line(&mut line).await.expect("line");
        assert_eq!(line, "got one\n", "{:?}", site.rung);
        input.write_all(b"two\n").await.expect("write");
        drop(input);
        let mut rest = String::new();
        output.read_to_string(&mut rest).await.expect("output");
        assert_eq!(rest, "two\nend\n", "{:?}", site.rung);
        assert_eq!(process.wait().await.expect("exit"), Exit::Code(0));
    }
}
