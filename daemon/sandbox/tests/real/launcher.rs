//! Which rung commands run on.

use std::path::PathBuf;

use protocol::profile::{SandboxMode, SandboxRung};
use sandbox::{Exit, Launcher, SandboxError};

use crate::site::{RUNGS, Site, helper};

#[tokio::test]
async fn without_a_choice_the_strongest_rung_that_holds_is_taken() {
    let report = Launcher::new(helper(), None).report().await;
    let first = report.rungs.iter().find(|rung| rung.is_available).map_or(SandboxRung::Refused, |it| it.rung);
    assert_eq!(report.chosen, first, "{report:?}");
    for rung in report.rungs {
        assert!(rung.is_available || !rung.reason.is_empty(), "{rung:?}");
    }
}

#[tokio::test]
async fn a_forced_rung_is_taken_or_commands_are_refused() {
    for rung in RUNGS {
        let report = Launcher::new(helper(), Some(rung)).report().await;
        assert!([rung, SandboxRung::Refused].contains(&report.chosen), "{report:?}");
        assert_eq!(report.rungs.len(), 1, "{report:?}");
    }
}

#[tokio::test]
async fn without_a_sandbox_only_unrestricted_commands_run() {
    let site = Site::unrestricted();
    let broken = Launcher::new(PathBuf::from("/no/such/helper"), None);
    assert_eq!(broken.report().await.chosen, SandboxRung::Refused);

    let refusing = Launcher::new(helper(), Some(SandboxRung::Refused));
    let mut request = site.request(&[], "exit 5");
    let exit = refusing.spawn(request.clone()).await.expect("it runs").wait().await;
    assert_eq!(exit.expect("exit"), Exit::Code(5));
    request.profile.mode = SandboxMode::ReadOnly;
    for launcher in [refusing, broken] {
        let refusal = launcher.spawn(request.clone()).await.expect_err("it is refused");
        assert!(matches!(refusal, SandboxError::Refused { .. }), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_helper_that_waits_is_used_and_one_that_was_killed_is_not() {
    let site = Site::unrestricted();
    let launcher = Launcher::new(helper(), None).one_ahead();
    let run = async || {
        let mut process = launcher.spawn(site.request(&[], "exit 5")).await.expect("it runs");
        let own = process.helper_id().expect("it runs");
        assert_eq!(process.wait().await.expect("exit"), Exit::Code(5));
        own
    };
    // Those of this process, but for one that ends: what was started last waits.
    let waiting = || {
        let threads = std::fs::read_dir("/proc/self/task").expect("threads");
        let children =
            threads.flat_map(|it| std::fs::read_to_string(it.expect("thread").path().join("children")));
        let all: Vec<u32> = children
            .flat_map(|text| {
                text.split_whitespace().map(|pid| pid.parse().expect("number")).collect::<Vec<_>>()
            })
            .collect();
        all.into_iter().max().expect("one waits")
    };
    run().await;
    let ready = waiting();
    assert_eq!(run().await, ready);
    let ready = waiting();
    let killed = rustix::process::Pid::from_raw(ready.cast_signed()).expect("number");
    rustix::process::kill_process(killed, rustix::process::Signal::KILL).expect("kill");
    let status = format!("/proc/{ready}/stat");
    // Until it has ended; it is not reaped before somebody asks.
    while std::fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::yield_now();
    }
    assert_ne!(run().await, ready);
}
