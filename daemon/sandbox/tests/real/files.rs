//! What commands can do to files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use protocol::profile::{
    Access::{Hidden, Read, Write},
    GlobRule,
};
use sandbox::{Exit, SandboxError};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::site::{NAMESPACES, RUNGS, Site};

#[tokio::test]
async fn writes_work_inside_and_fail_outside() {
    for site in Site::on(&RUNGS).await {
        let script = "echo new > src/new && rm src/kept && mkdir -p src/a/b && mv src/a src/c
            echo new > ../outside/new; true > ../outside/kept; rm -f ../outside/kept; mkdir ../outside/d
            mv src/new ../outside/moved; mv ../outside ../elsewhere; ln ../outside/kept src/linked
            ln -s x ../outside/link; mkfifo ../outside/fifo; truncate -s 0 ../outside/kept; true";
        let ran = site.run(&[("work", Write)], script).await;
        assert_eq!(ran.exit, Exit::Code(0), "{ran:?}");
        assert_eq!(site.names("outside"), ["kept"], "{:?}", site.rung);
        assert_eq!(site.read("outside/kept"), "kept", "{:?}", site.rung);
        assert_eq!(site.names("work/src"), ["c", "new"], "{:?}", site.rung);
    }
}

#[tokio::test]
async fn modes_and_times_outside_can_t_be_changed() {
    for site in Site::on(&NAMESPACES).await {
        let mode =
            |name: &str| fs::metadata(site.path(name)).expect("metadata").permissions().mode() & 0o7777;
        let before = mode("outside/kept");
        let ran = site.run(&[("work", Write)], "chmod 777 ../outside/kept; chmod 700 src/kept").await;
        assert_eq!(mode("outside/kept"), before);
        assert_eq!(mode("work/src/kept"), 0o700, "{ran:?}");
    }
}

#[tokio::test]
async fn a_read_only_profile_changes_nothing() {
    for site in Site::on(&RUNGS).await {
        let script =
            "echo x > src/kept; echo x > /dev/shm/x; chmod 777 src/kept; touch -d 2000-01-01 src/kept
            echo x > /dev/null && cat src/kept";
        let before = fs::metadata(site.path("work/src/kept")).expect("metadata");
        let ran = site.run(&[], script).await;
        let after = fs::metadata(site.path("work/src/kept")).expect("metadata");
        assert!(ran.output.ends_with("kept"), "{ran:?}");
        assert_eq!(before.permissions(), after.permissions(), "{ran:?}");
        assert_eq!(before.modified().expect("time"), after.modified().expect("time"), "{ran:?}");
    }
}

#[tokio::test]
async fn protected_paths_in_a_writable_folder_stay_as_they_are() {
    for site in Site::on(&RUNGS).await {
        site.write("work/.git/config", "ours");
        site.write("work/pointer/.git", "gitdir: ours");
        let rules = [("work", Write), ("work/.git", Read), ("work/pointer/.git", Read)];
        let script = "echo new > src/new; cat .git/config
            echo x > .git/config; echo x > .git/new; rm -rf .git; mv .git git; mv src .git
            echo x > pointer/.git; rm -f pointer/.git; mv pointer/.git pointer/git; mv src/new pointer/.git
            mv pointer moved; true";
        let ran = site.run(&rules, script).await;
        assert!(ran.output.starts_with("ours"), "{ran:?}");
        assert_eq!(site.names("work"), [".git", "pointer", "src"], "{:?} {ran:?}", site.rung);
        assert_eq!(site.names("work/.git"), ["config"], "{:?}", site.rung);
        assert_eq!(site.read("work/.git/config"), "ours", "{:?}", site.rung);
        assert_eq!(site.read("work/pointer/.git"), "gitdir: ours", "{:?}", site.rung);
        assert!(site.path("work/src/new").exists(), "{:?} {ran:?}", site.rung);
    }
}

#[tokio::test]
async fn protected_paths_that_are_not_there_can_t_be_made_and_leave_no_trace() {
    for site in Site::on(&RUNGS).await {
        let rules = [("work", Write), ("work/.git", Read), ("work/src/deep/er/.git", Read)];
        let script = "mkdir .git; echo x > .git/config; rmdir .git; mv src .git; ln -s src .git; git init .
            mkdir -p src/deep/er/.git; echo x > src/deep; ln -sfn /tmp src/deep; true";
        let ran = site.run(&rules, script).await;
        assert_eq!(site.names("work"), ["src"], "{:?} {ran:?}", site.rung);
        assert_eq!(site.names("work/src"), ["kept"], "{:?} {ran:?}", site.rung);
    }
}

#[tokio::test]
async fn commands_at_the_same_time_protect_the_same_absent_path() {
    for site in Site::on(&NAMESPACES).await {
        let rules = [("work", Write), ("work/.git", Read)];
        let mut long = site.spawn(site.request(&rules, "echo ready; read x; sleep 1000")).await;
        let mut lines = BufReader::new(long.take_output()).lines();
        assert_eq!(lines.next_line().await.expect("line").as_deref(), Some("ready"));
        let ran = site.run(&rules, "rmdir .git; mkdir .git/x; mv src .git; true").await;
        assert_eq!(site.names("work"), [".git", "src"], "the other one still needs it: {ran:?}");
        long.kill();
        long.wait().await.expect("exit");
        assert_eq!(site.names("work"), ["src"]);
    }
}

#[tokio::test]
async fn an_absent_common_folder_of_git_can_neither_be_made_nor_does_it_stop_git() {
    for site in Site::on(&NAMESPACES).await {
        site.write("work/.git/config", "kept");
        let rules = [("work", Write), ("work/.git/commondir", Read)];
        let script = "cat .git/commondir; echo /evil > .git/commondir; rm -f .git/commondir; \
            mv .git/config .git/commondir; cat .git/commondir; true";
        let ran = site.run(&rules, script).await;
        assert!(ran.output.starts_with(".\n") && ran.output.ends_with(".\n"), "{:?} {ran:?}", site.rung);
        assert_eq!(site.names("work/.git"), ["config"], "{:?} {ran:?}", site.rung);
    }
}

#[tokio::test]
async fn carve_outs_nest() {
    for site in Site::on(&RUNGS).await {
        for folder in ["work/ro/rw/ro/rw", "work/ro/rw/plain"] {
            site.write(&format!("{folder}/kept"), "kept");
        }
        let rules = [
            ("work", Write),
            ("work/ro", Read),
            ("work/ro/rw", Write),
            ("work/ro/rw/ro", Read),
            ("work/ro/rw/ro/rw", Write),
        ];
        let script =
            "for folder in src ro ro/rw/plain ro/rw/ro ro/rw/ro/rw; do echo x > $folder/new; done; true";
        let ran = site.run(&rules, script).await;
        let made = |folder: &str| site.path(folder).join("new").exists();
        for (folder, expected) in [
            ("work/src", true),
            ("work/ro", false),
            ("work/ro/rw/plain", true),
            ("work/ro/rw/ro", false),
            ("work/ro/rw/ro/rw", true),
        ] {
            assert_eq!(made(folder), expected, "{folder} {:?} {ran:?}", site.rung);
        }
    }
}

#[tokio::test]
async fn hidden_paths_can_t_be_read_or_listed() {
    for site in Site::on(&RUNGS).await {
        site.write("secrets/key", "secret");
        site.write("secrets/deep/open/note", "note");
        site.write("work/token", "secret");
        let rules =
            [("work", Write), ("work/token", Hidden), ("secrets", Hidden), ("secrets/deep/open", Write)];
        let script =
            "cat token; cat ../secrets/key; ls ../secrets; ls ../secrets/deep; cp token src/; mv token src/
            rm -f token; echo x > token; echo x > ../secrets/new; cat ../secrets/deep/open/note
            echo x > ../secrets/deep/open/new; true";
        let ran = site.run(&rules, script).await;
        assert!(!ran.output.contains("secret\n") && !ran.output.contains("secretsecret"), "{ran:?}");
        assert!(ran.output.contains("note"), "{:?} {ran:?}", site.rung);
        assert!(!ran.output.contains("key\n") && !ran.output.contains("open\n"), "{ran:?}");
        assert_eq!(site.names("work/src"), ["kept"], "{:?} {ran:?}", site.rung);
        assert_eq!(site.read("work/token"), "secret", "{:?}", site.rung);
        assert_eq!(site.names("secrets"), ["deep", "key"], "{:?}", site.rung);
        assert!(site.path("secrets/deep/open/new").exists(), "{:?} {ran:?}", site.rung);
    }
}

#[tokio::test]
async fn a_link_makes_nothing_writable_and_stays_a_link_where_it_is_protected() {
    for site in Site::on(&RUNGS).await {
        symlink("../outside", site.path("work/out")).expect("link");
        let refusal = site.refusal(site.request(&[("work", Write), ("work/out", Write)], "true")).await;
        assert!(matches!(refusal, SandboxError::Refused { .. }), "{refusal:?}");
        assert!(refusal.to_string().contains("work/out` is a link in a writable folder"), "{refusal}");

        symlink("src", site.path("work/.git")).expect("link");
        let script = "rm -f .git; ln -sfn /tmp .git; mv .git x; echo x > .git/new; echo x > src/new; true";
        let ran = site.run(&[("work", Write), ("work/.git", Read)], script).await;
        assert_eq!(fs::read_link(site.path("work/.git")).expect("link").to_str(), Some("src"), "{ran:?}");
        assert_eq!(site.names("work/src"), ["kept"], "{:?} {ran:?}", site.rung);
    }
}

#[tokio::test]
async fn a_link_to_nothing_stops_no_work_and_can_t_be_filled() {
    for site in Site::on(&RUNGS).await {
        for (target, name) in [("../nowhere", "out"), ("src/later", "in"), ("self", "self"), ("pong", "ping")]
        {
            symlink(target, site.path("work").join(name)).expect("link");
        }
        symlink("/nonexistent", site.path("work/src/.env")).expect("link");
        let script = "for l in out in self ping src/.env; do
                rm -f $l; ln -sfn /tmp $l; mv $l x; mv x $l; echo new > $l; mkdir -p $l; echo new > $l/new
            done; mkdir -p src/later; echo new > src/later/new
            echo kept >> src/kept && echo worked";
        let mut request = site.request(
            &[
                ("work", Write),
                ("work/out", Read),
                ("work/in", Read),
                ("work/self", Hidden),
                ("work/ping", Read),
            ],
            script,
        );
        let pattern = site.path("work/**/.env").to_str().expect("text").to_owned();
        request.profile.globs = vec![GlobRule { pattern, access: Hidden, except: Vec::new() }];
        let ran = site.run_request(request).await;
        assert!(ran.output.contains("worked"), "{:?} {ran:?}", site.rung);
        let links = [("out", "../nowhere"), ("in", "src/later"), ("self", "self"), ("ping", "pong")];
        for (name, target) in links.into_iter().chain([("src/.env", "/nonexistent")]) {
            let found = fs::read_link(site.path("work").join(name)).expect(name);
            assert_eq!(found.to_str(), Some(target), "{:?} {ran:?}", site.rung);
        }
        assert_eq!(site.names("work/src"), [".env", "kept"], "{:?} {ran:?}", site.rung);
        assert!(
            !site.path("nowhere").exists() && !site.path("work/pong").exists(),
            "{:?} {ran:?}",
            site.rung
        );
    }
}

#[tokio::test]
async fn a_path_that_is_too_long_stops_no_work() {
    for site in Site::on(&RUNGS).await {
        let deep = "import os
for _ in range(30): os.mkdir('n' * 200); os.chdir('n' * 200)
open('.env', 'w').write('secret')";
        let program = format!("cd src; python3 -c \"{deep}\"; echo made");
        let mut request = site.request(&[("work", Write)], &program);
        let pattern = site.path("work/**/.env").to_str().expect("text").to_owned();
        request.profile.globs = vec![GlobRule { pattern, access: Hidden, except: Vec::new() }];
        let ran = site.run_request(request.clone()).await;
        assert_eq!(ran.output, "made\n", "{:?} {ran:?}", site.rung);
        let read = "import os
os.chdir('src')
try:
    for _ in range(30): os.chdir('n' * 200)
    print(open('.env').read())
except OSError: print('kept')";
        request.argv = ["python3", "-c", read].map(Into::into).to_vec();
        let ran = site.run_request(request).await;
        assert_eq!(ran.output, "kept\n", "{:?} {ran:?}", site.rung);
    }
}

#[tokio::test]
async fn the_machine_s_switches_are_closed_even_to_root() {
    for site in Site::on(&RUNGS).await {
        let script = "for file in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/kernel/hostname
            do if (: >> $file) 2> /dev/null; then echo open $file; fi; done";
        let ran = site.run(&[("work", Write)], script).await;
        assert_eq!(ran.output, "", "{:?}", site.rung);
    }
}
