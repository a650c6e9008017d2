//! What happens to a command when somebody outside replaces or removes what is protected from it while it runs.

use std::fs;
use std::time::Duration;

use protocol::profile::Access::{self, Hidden, Read, Write};
use sandbox::{CommandRequest, Exit, SandboxError, Stdin};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use crate::site::{NAMESPACES, Site};

/// How long a command may go on after its protection has fallen away, on a machine with much to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a script up to `read`, does this outside, and lets the script go on when it was stopped or is not going to be.
async fn replaced(
    site: &Site,
    rules: &[(&str, Access)],
    script: &str,
    replace: impl FnOnce(&Site),
    patience: Duration,
) -> (Result<Exit, SandboxError>, String) {
    let script = format!("echo ready; read line; {script}");
    let request = CommandRequest { stdin: Stdin::Piped, ..site.request(rules, &script) };
    let mut process = site.spawn(request).await;
    let mut input = process.take_input().expect("input");
    let mut output = BufReader::new(process.take_output());
    let mut printed = String::new();
    output.read_line(&mut printed).await.expect("line");
    assert_eq!(printed, "ready\n", "{:?}", site.rung);
    replace(site);
    let stopped = timeout(patience, process.wait()).await;
    // Nobody reads it any more, if all is well.
    let _ = input.write_all(b"go\n").await;
    let end = match stopped {
        Ok(end) => end,
        Err(_) => process.wait().await,
    };
    output.read_to_string(&mut printed).await.expect("output");
    (end, printed)
}

/// Checks that such a command is stopped and that this path is named.
async fn check(site: &Site, rules: &[(&str, Access)], script: &str, replace: impl FnOnce(&Site), path: &str) {
    let (end, printed) = replaced(site, rules, script, replace, PATIENCE).await;
    assert_eq!(printed, "ready\n", "{:?} {end:?}", site.rung);
    let error = end.expect_err("it is stopped");
    let path = site.path(path);
    assert!(error.to_string().contains(&format!("`{}`", path.display())), "{error}");
    let SandboxError::Exposed { paths } = error else { panic!("{:?} {error}", site.rung) };
    assert_eq!(paths, [path], "{:?}", site.rung);
}

/// Saves a file as editors do.
fn save(site: &Site, name: &str, content: &str) {
    let draft = format!("{name}.draft");
    site.write(&draft, content);
    fs::rename(site.path(&draft), site.path(name)).expect("rename");
}

#[tokio::test]
async fn a_hidden_file_that_is_saved_anew_is_not_shown() {
    for site in Site::on(&NAMESPACES).await {
        site.write("work/token", "secret");
        let rules = [("work", Write), ("work/token", Hidden)];
        check(&site, &rules, "cat token", |site| save(site, "work/token", "new secret"), "work/token").await;
        assert_eq!(site.read("work/token"), "new secret");
    }
}

#[tokio::test]
async fn a_protected_file_that_is_saved_anew_is_not_changed() {
    for site in Site::on(&NAMESPACES).await {
        site.write("work/.git/config", "ours");
        let rules = [("work", Write), ("work/.git/config", Read)];
        let change = |site: &Site| save(site, "work/.git/config", "new");
        check(&site, &rules, "echo theirs > .git/config", change, "work/.git/config").await;
        assert_eq!(site.read("work/.git/config"), "new");
    }
}

#[tokio::test]
async fn what_was_kept_from_being_made_is_not_made_when_its_placeholder_is_removed() {
    for site in Site::on(&NAMESPACES).await {
        let rules = [("work", Write), ("work/.vscode", Read)];
        let remove = |site: &Site| fs::remove_dir(site.path("work/.vscode")).expect("rmdir");
        let script = "mkdir .vscode && echo x > .vscode/tasks.json && echo made";
        check(&site, &rules, script, remove, "work/.vscode").await;
        assert_eq!(site.names("work"), ["src"], "{:?}", site.rung);
    }
}

#[tokio::test]
async fn what_is_hidden_beside_the_workspace_is_watched_as_well() {
    for site in Site::on(&NAMESPACES).await {
        site.write("a home/.net rc", "secret");
        let rules = [("work", Write), ("a home/.net rc", Hidden)];
        let change = |site: &Site| save(site, "a home/.net rc", "new secret");
        check(&site, &rules, "cat '../a home/.net rc'", change, "a home/.net rc").await;
    }
}

#[tokio::test]
async fn what_is_put_in_the_place_of_a_hidden_file_that_was_moved_away_is_not_shown() {
    for site in Site::on(&NAMESPACES).await {
        site.write("work/deep/er/token", "secret");
        let rules = [("work", Write), ("work/deep/er/token", Hidden)];
        for moved in ["work/deep/er/token", "work/deep"] {
            let change = |site: &Site| {
                fs::rename(site.path(moved), site.path(&format!("{moved}~"))).expect("rename");
                site.write("work/deep/er/token", "new secret");
            };
            check(&site, &rules, "cat deep/er/token", change, "work/deep/er/token").await;
        }
    }
}

#[tokio::test]
async fn what_is_not_protected_may_be_replaced() {
    for site in Site::on(&NAMESPACES).await {
        site.write("work/token", "secret");
        site.write("work/.git/refs/head", "old");
        let rules = [("work", Write), ("work/token", Hidden), ("work/.git", Read), ("work/.git/refs", Write)];
        let change = |site: &Site| {
            save(site, "work/src/kept", "new");
            save(site, "work/.git/refs/head", "new");
            save(site, "outside/kept", "new");
            // Saved in place.
            site.write("work/token", "new secret");
        };
        let script = "cat src/kept .git/refs/head token; true";
        let brief = Duration::from_millis(300);
        let (end, printed) = replaced(&site, &rules, script, change, brief).await;
        assert!(matches!(end, Ok(Exit::Code(0))), "{:?} {end:?}", site.rung);
        assert!(printed.starts_with("ready\nnewnew") && !printed.contains("secret"), "{printed}");
    }
}

#[tokio::test]
async fn one_that_was_stopped_stays_so_whoever_asks() {
    for site in Site::on(&NAMESPACES).await {
        site.write("work/token", "secret");
        let rules = [("work", Write), ("work/token", Hidden)];
        let mut process = site.spawn(site.request(&rules, "echo ready; sleep 1000")).await;
        let mut lines = BufReader::new(process.take_output()).lines();
        assert_eq!(lines.next_line().await.expect("line").as_deref(), Some("ready"));
        save(&site, "work/token", "new secret");
        assert!(timeout(PATIENCE, process.execution()).await.expect("it ends").is_none());
        for _ in 0..2 {
            let end = process.wait().await;
            assert!(matches!(end, Err(SandboxError::Exposed { .. })), "{:?} {end:?}", site.rung);
        }
        assert_eq!(lines.next_line().await.expect("end"), None);
        assert!(process.refusals().is_empty());
    }
}
