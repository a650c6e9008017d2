//! What commands may use up, patterns, and a `/tmp` of their own.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use protocol::item::{Refusal, RefusedOperation};
use protocol::profile::{
    Access::{Hidden, Read, Write},
    GlobRule, ResourceLimits, SandboxRung,
};
use sandbox::{CommandRequest, Exit, SandboxError, Stdin};

use crate::site::{NAMESPACES, RUNGS, Site};

fn limited(site: &Site, limits: ResourceLimits, script: &str) -> CommandRequest {
    let mut request = site.request(&[("work", Write)], script);
    request.profile.limits = limits;
    request
}

#[tokio::test]
async fn files_and_memory_are_bounded() {
    for site in Site::on(&RUNGS).await {
        let files = ResourceLimits { max_file_bytes: Some(4096), ..ResourceLimits::default() };
        let script = "head -c 4096 /dev/zero > src/fits; head -c 9000 /dev/zero > src/long; true";
        site.run_request(limited(&site, files, script)).await;
        assert_eq!(site.read("work/src/fits").len(), 4096, "{:?}", site.rung);
        assert_eq!(site.read("work/src/long").len(), 4096, "{:?}", site.rung);

        let memory = ResourceLimits { max_memory_bytes: Some(64 << 20), ..ResourceLimits::default() };
        // Keeps all of it, because there is no end of a line.
        let script = "head -c 100000000 /dev/zero | tail -n 1 | wc -c";
        let ran = site.run_request(limited(&site, memory, script)).await;
        assert!(!ran.output.contains("100000000"), "{:?} {ran:?}", site.rung);
        let ran = site.run_request(limited(&site, ResourceLimits::default(), script)).await;
        assert!(ran.output.contains("100000000"), "{:?} {ran:?}", site.rung);
    }
}

/// Whether this rung says that nothing bounds processes on it, as for an administrator who may make no control groups.
async fn bounds_no_processes(site: &Site) -> bool {
    site.launcher.report().await.rungs.iter().any(|rung| rung.reason.contains("nothing here bounds"))
}

/// Whether this rung says that memory is bounded for a whole command.
async fn bounds_memory_together(site: &Site) -> bool {
    site.launcher.report().await.rungs.iter().any(|rung| rung.reason.contains("so is their memory"))
}

#[tokio::test]
async fn processes_are_bounded_also_for_the_administrator_or_the_bound_is_refused() {
    for site in Site::on(&RUNGS).await {
        let processes = ResourceLimits { max_processes: Some(40), ..ResourceLimits::default() };
        let script = "i=0; while [ $i -lt 330 ]; do sleep 100 & i=$((i + 1)); done; echo all";
        if bounds_no_processes(&site).await {
            let refusal = site.refusal(limited(&site, processes, script)).await;
            assert!(refusal.to_string().contains("bound on processes"), "{:?} {refusal:?}", site.rung);
        } else {
            let ran = site.run_request(limited(&site, processes, script)).await;
            assert!(!ran.output.contains("all") && ran.output.contains("fork"), "{:?} {ran:?}", site.rung);
        }
        let ran = site.run_request(limited(&site, ResourceLimits::default(), script)).await;
        assert_eq!(ran.output, "all\n", "{:?}", site.rung);
    }
}

#[tokio::test]
async fn memory_is_bounded_for_all_processes_together_where_a_control_group_can_be_made() {
    for site in Site::on(&RUNGS).await {
        if !bounds_memory_together(&site).await {
            continue;
        }
        let memory = ResourceLimits { max_memory_bytes: Some(40 << 20), ..ResourceLimits::default() };
        // Each keeps less than may be had, all together more; what is killed prints nothing.
        let one = "(head -c 20000000 /dev/zero | tail -n 1 | wc -c >> src/sizes) &";
        let script = format!("{one} {one} {one} {one} wait");
        site.run_request(limited(&site, memory, &script)).await;
        let sizes = site.read("work/src/sizes");
        assert!(sizes.matches("20000000").count() < 4, "{:?} {sizes}", site.rung);
        site.run_request(limited(&site, ResourceLimits::default(), &format!("rm src/sizes; {script}"))).await;
        assert_eq!(site.read("work/src/sizes").matches("20000000").count(), 4, "{:?}", site.rung);
    }
}

#[tokio::test]
async fn a_control_group_goes_with_its_command() {
    for site in Site::on(&RUNGS).await {
        let memory = ResourceLimits { max_memory_bytes: Some(1 << 30), ..ResourceLimits::default() };
        let mut request = limited(&site, memory, "read line");
        request.stdin = Stdin::Piped;
        let mut process = site.spawn(request).await;
        let helper = process.helper_id().expect("it runs");
        let groups = || {
            let name = format!("skein-tree-{helper}");
            let found = Command::new("find").args(["/sys/fs/cgroup", "-name", &name]).output().expect("find");
            String::from_utf8(found.stdout).expect("text")
        };
        assert_eq!(!groups().is_empty(), bounds_memory_together(&site).await, "{:?}", site.rung);
        drop(process.take_input());
        process.wait().await.expect("exit");
        // Its helper takes it away after it has told of the end.
        let is_gone = (0..500).any(|_| groups().is_empty());
        assert!(is_gone, "{:?} {}", site.rung, groups());
    }
}

#[tokio::test]
async fn what_a_pattern_names_is_hidden_or_read_only() {
    for site in Site::on(&RUNGS).await {
        for name in ["work/.env", "work/src/deep/.env", "work/src/lock"] {
            site.write(name, "secret");
        }
        let mut request = site.request(
            &[("work", Write)],
            "cat .env src/deep/.env; mv src/deep/.env x; cat x; echo new > src/lock; cat src/kept; rm -rf src/deep",
        );
        let glob = |pattern: &str, access| GlobRule {
            except: Vec::new(),
            pattern: site.path(pattern).to_str().expect("text").to_owned(),
            access,
        };
        request.profile.globs = vec![glob("work/**/.env", Hidden), glob("work/src/l*", Read)];
        let ran = site.run_request(request.clone()).await;
        assert!(ran.output.contains("kept") && !ran.output.contains("secret"), "{:?} {ran:?}", site.rung);
        for name in ["work/.env", "work/src/deep/.env", "work/src/lock"] {
            assert_eq!(site.read(name), "secret", "{:?} {name}", site.rung);
        }
        request.profile.globs = vec![glob("work/[", Hidden)];
        let refusal = site.refusal(request).await;
        assert!(matches!(refusal, SandboxError::Refused { .. }), "{refusal:?}");
    }
}

#[tokio::test]
async fn what_goes_away_while_a_command_starts_does_not_stop_it() {
    for site in Site::on(&NAMESPACES).await {
        let mut request = site.request(&[("work", Write)], "true");
        let pattern = site.path("work/**/.env").to_str().expect("text").to_owned();
        request.profile.globs = vec![GlobRule { pattern, access: Hidden, except: Vec::new() }];
        for round in 0..100 {
            site.write("work/.env", "secret");
            let path = site.path("work/.env");
            let going = std::thread::spawn(move || {
                // Another moment of the start each time.
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_micros(round * 150) {
                    std::thread::yield_now();
                }
                std::fs::remove_file(path).expect("remove");
            });
            let started = site.launcher.spawn(request.clone()).await;
            let Ok(mut process) = started else { panic!("{:?} {round} {:?}", site.rung, started.err()) };
            // It may have lost a protection while it ran. Nothing of it is left then.
            let _ = process.wait().await;
            going.join().expect("removed");
        }
    }
}

#[tokio::test]
async fn what_a_pattern_names_is_not_made_either_where_that_is_refused() {
    for site in Site::on(&RUNGS).await {
        site.write("work/src/left/kept", "kept");
        let script = "echo x > src/lock; echo x > src/m; mv src/m src/lock; ln -s lock src/n; echo x > src/n; \
                      echo x > src/left/lock; echo x > src/free; rm src/free";
        let mut request = site.request(&[("work", Write)], script);
        request.profile.globs = vec![GlobRule {
            pattern: site.path("work/**/lock").to_str().expect("text").to_owned(),
            access: Read,
            except: vec!["left".to_owned()],
        }];
        request.profile.is_making_refused = true;
        let ran = site.run_request(request.clone()).await;
        assert_eq!(site.names("work/src"), ["kept", "left", "m", "n"], "{:?} {ran:?}", site.rung);
        assert_eq!(site.read("work/src/left/lock"), "x\n", "{:?} {ran:?}", site.rung);
        let target = site.path("work/src/lock").to_str().expect("text").to_owned();
        let told = Refusal { operation: RefusedOperation::Write, target };
        assert!(ran.refusals.contains(&told), "{:?} {ran:?}", site.rung);
        request.profile.is_making_refused = false;
        site.run_request(request).await;
        assert!(site.names("work/src").contains(&"lock".to_owned()), "{:?} it can be made", site.rung);
    }
}

#[tokio::test]
async fn an_own_tmp_is_empty_and_leaves_nothing() {
    for site in Site::on(&RUNGS).await {
        let canary = format!("skein-canary-{}", std::process::id());
        std::fs::write(Path::new("/tmp").join(&canary), "x").expect("write");
        let script =
            format!("ls -A /tmp; echo in > /tmp/made-{canary} && cat /tmp/made-{canary}; echo x > src/new");
        let mut request = site.request(&[("work", Write), ("work/.git", Read)], &script);
        request.profile.has_own_tmp = true;
        if site.rung == SandboxRung::Landlock {
            let refusal = site.refusal(request).await;
            assert!(matches!(refusal, SandboxError::Refused { .. }), "{refusal:?}");
        } else {
            let ran = site.run_request(request).await;
            assert_eq!(ran.exit, Exit::Code(0), "{:?} {ran:?}", site.rung);
            assert!(
                ran.output.ends_with("in\n") && !ran.output.contains("canary"),
                "{:?} {ran:?}",
                site.rung
            );
            assert!(site.path("work/src/new").exists(), "the workspace is still there");
            assert_eq!(site.names("work"), ["src"], "{:?}", site.rung);
        }
        std::fs::remove_file(Path::new("/tmp").join(&canary)).expect("remove");
        assert!(!Path::new(&format!("/tmp/made-{canary}")).exists(), "{:?}", site.rung);
    }
}
