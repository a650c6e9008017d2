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
