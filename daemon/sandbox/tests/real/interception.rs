//! Programs that wait for a verdict.

use protocol::item::RefusedOperation;
use protocol::profile::Access::Write;
use sandbox::{Exit, Interception, Process, Verdict};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::processes::everywhere;
use crate::site::Site;

async fn intercepted(site: &Site, script: &str) -> (Process, Box<dyn AsyncRead + Send + Unpin>) {
    let mut request = site.request(&[("work", Write)], script);
    request.interception = Interception::On;
    let mut process = site.spawn(request).await;
    let output = Box::new(process.take_output());
    (process, output)
}

#[tokio::test]
async fn each_program_goes_on_is_refused_or_runs_outside() {
    for site in everywhere().await {
        let script = "A=b cat src/kept; echo; cp src/kept src/refused || echo refused
            cd src; tee ../../outside/$(printf out) < kept > piped; echo $?; sh -c 'exit 3'; echo $?";
        let (mut process, mut output) = intercepted(&site, script).await;
        let mut seen = Vec::new();
        while let Some(execution) = process.execution().await {
            let name = execution.argv[0].to_str().expect("text").to_owned();
            let verdict = match &*name {
                "cat" => {
                    assert!(execution.environment.contains(&("A".into(), "b".into())), "{execution:?}");
                    assert_eq!(execution.cwd, site.path("work"));
                    assert_eq!(execution.argv[1], "src/kept");
                    Verdict::Inside
                }
                "cp" => Verdict::Refuse,
                "tee" => {
                    let mut outside = site.launcher.run_outside(&execution).await.expect("it runs");
                    Verdict::Ran(outside.wait().await.expect("exit"))
                }
                _ => Verdict::Ran(Exit::Code(7)),
            };
            seen.push(name);
            process.answer(&execution, verdict);
        }
        // Shells try the next folder of the search path when they are told that they may not.
        seen.dedup();
        let mut text = String::new();
        output.read_to_string(&mut text).await.expect("output");
        assert_eq!(seen, ["cat", "cp", "tee", "sh"], "{:?} {text}", site.rung);
        assert!(text.starts_with("kept\n") && text.ends_with("refused\n0\n7\n"), "{:?} {text}", site.rung);
        assert_eq!(site.read("outside/out"), "kept", "it ran outside: {:?}", site.rung);
        assert_eq!(site.read("work/src/piped"), "kept", "with the same streams: {:?}", site.rung);
        assert_eq!(process.wait().await.expect("exit"), Exit::Code(0));
        let refusals = process.refusals();
        assert!(refusals.iter().any(|it| it.operation == RefusedOperation::Execute), "{refusals:?}");
    }
}

/// Starts `touch approved` from a thread, and from another one changes what that says, when it is told to.
const CHANGES: &str = r#"
import ctypes, os, threading
libc = ctypes.CDLL(None)
what = os.environ["WHAT"]
name = ctypes.create_string_buffer(b"/usr/bin/touch")
text = ctypes.create_string_buffer(b"approved")
argv = (ctypes.c_void_p * 3)(ctypes.addressof(name), ctypes.addressof(text), None)
def change():
    open("go").read()
    if what == "argument":
        ctypes.memmove(text, b"evil-one", 8)
    if what == "path":
        ctypes.memmove(name, b"/usr/bin/mkdir", 14)
    if what == "file":
        os.symlink("/usr/bin/mkdir", "other")
        os.rename("other", "link")
    open("changed", "w").close()
os.mkfifo("go")
threading.Thread(target=change, daemon=True).start()
os.symlink("/usr/bin/touch", "link")
libc.execve(b"link" if what == "file" else name, argv, None)
os._exit(7)
"#;

#[tokio::test]
async fn what_changed_while_it_waited_does_not_go_on() {
    for what in ["nothing", "argument", "path", "file"] {
        for site in everywhere().await {
            let mut request = site.request(&[("work", Write)], "");
            request.argv = ["/usr/bin/python3", "-c", CHANGES].map(Into::into).to_vec();
            request.environment.push(("WHAT".into(), what.into()));
            request.interception = Interception::On;
            let mut process = site.spawn(request).await;
            let execution = process.execution().await.expect("a program");
            std::fs::write(site.path("work/go"), "").expect("file");
            let changed = site.path("work/changed");
            let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
            while !changed.exists() {
                assert!(tokio::time::Instant::now() < soon, "{what} {:?}", site.rung);
                tokio::task::yield_now().await;
            }
            process.answer(&execution, Verdict::Inside);
            drop(execution);
            let exit = process.wait().await.expect("exit");
            let is_made = |name: &str| site.path("work").join(name).exists();
            assert_eq!(is_made("approved"), what == "nothing", "{what} {:?}", site.rung);
            assert!(!is_made("evil-one"), "{what} {:?}", site.rung);
            assert_eq!(exit, Exit::Code(if what == "nothing" { 0 } else { 7 }), "{what} {:?}", site.rung);
            let is_told = process.refusals().iter().any(|it| it.operation == RefusedOperation::Execute);
            assert_eq!(is_told, what != "nothing", "{what} {:?}", site.rung);
        }
    }
}

#[tokio::test]
async fn outside_it_has_the_same_mask_and_is_told_to_lack_other_descriptors() {
    for site in everywhere().await {
        let script =
            "umask 027; cat src/kept > /dev/null; exec 5> src/other; cat src/kept > /dev/null; umask 077
            touch ../outside/private";
        let (mut process, _output) = intercepted(&site, script).await;
        let mut seen = Vec::new();
        while let Some(execution) = process.execution().await {
            seen.push(execution.has_more_descriptors);
            let verdict = if execution.argv[0] == "touch" {
                let mut outside = site.launcher.run_outside(&execution).await.expect("it runs");
                Verdict::Ran(outside.wait().await.expect("exit"))
            } else {
                Verdict::Inside
            };
            process.answer(&execution, verdict);
        }
        assert_eq!(seen, [false, true, true], "{:?}", site.rung);
        let made = std::fs::metadata(site.path("outside/private")).expect("made");
        let rights = std::os::unix::fs::PermissionsExt::mode(&made.permissions()) & 0o777;
        assert_eq!(rights, 0o600, "{:?}", site.rung);
    }
}

#[tokio::test]
async fn a_folder_that_became_a_link_is_not_entered_outside() {
    for site in everywhere().await {
        let (mut process, mut output) =
            intercepted(&site, "mkdir sub && cd sub && touch made; echo $?").await;
        while let Some(execution) = process.execution().await {
            let verdict = if execution.argv[0] == "touch" {
                // Shells try the next folder of the search path when they are told that they may not.
                if !site.path("work/moved").exists() {
                    std::fs::rename(site.path("work/sub"), site.path("work/moved")).expect("moved");
                    std::os::unix::fs::symlink(site.path("outside"), site.path("work/sub")).expect("link");
                    let ran = site.launcher.run_outside(&execution).await;
                    assert!(ran.is_err(), "{:?}", site.rung);
                }
                Verdict::Refuse
            } else {
                Verdict::Inside
            };
            process.answer(&execution, verdict);
        }
        assert!(!site.path("outside/made").exists(), "{:?}", site.rung);
        output.read_to_end(&mut Vec::new()).await.expect("output");
    }
}

#[tokio::test]
async fn what_nobody_decides_is_refused() {
    for site in everywhere().await {
        let (mut process, mut output) = intercepted(&site, "cat src/kept || echo refused").await;
        assert_eq!(process.wait().await.expect("exit"), Exit::Code(0), "{:?}", site.rung);
        let mut text = String::new();
        output.read_to_string(&mut text).await.expect("output");
        assert!(text.ends_with("refused\n") && !text.contains("kept\n"), "{:?} {text}", site.rung);
    }
}

#[tokio::test]
async fn a_program_that_waits_dies_with_its_command() {
    for site in everywhere().await {
        let (mut process, mut output) = intercepted(&site, "cat src/kept").await;
        let execution = process.execution().await.expect("a program");
        process.kill();
        drop(execution);
        output.read_to_end(&mut Vec::new()).await.expect("the output ends");
        assert_eq!(process.wait().await.expect("exit"), Exit::Signal(9), "{:?}", site.rung);
    }
}
