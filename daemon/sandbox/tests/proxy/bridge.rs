//! A real command in a real sandbox, whose network is open by rule: it reaches what the gate lets through, by the
//! proxy, and nothing else.

use std::path::PathBuf;
use std::sync::Arc;

use protocol::profile::{Access, NetworkAccess, Profile, SandboxMode, SandboxRung};
use sandbox::proxy::{ProxyServer, Verdict};
use sandbox::{CommandRequest, Interception, Launcher, Output, Proxy, Stdin};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::gate::{ToldGate, anywhere};
use crate::scene::{answer, listener, was_reached};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n";

/// The helper's executable, which cargo builds with the tests.
fn helper() -> PathBuf {
    let own = std::env::current_exe().expect("own path");
    own.ancestors().nth(2).expect("profile folder").join("examples/helper")
}

#[tokio::test]
async fn a_command_reaches_what_is_open_and_nothing_else() {
    let launcher = Launcher::new(helper(), Some(SandboxRung::Namespaces));
    if launcher.report().await.chosen != SandboxRung::Namespaces {
        assert!(std::env::var_os("SKEIN_CI").is_none(), "there are no namespaces here");
        return;
    }
    let ((open, open_port), (closed, closed_port)) = (listener().await, listener().await);
    // `127.0.0.1` is the sandbox's own; `localhost` is asked for by name, which the proxy resolves.
    let script = format!(
        "curl -sS -m 9 http://127.0.0.2:{open_port}/; curl -sS -m 9 --noproxy '' http://localhost:{closed_port}/;
         curl -sS -m 9 --noproxy '*' http://127.0.0.2:{open_port}/; echo end"
    );
    let request = CommandRequest {
        argv: ["sh", "-c", &script].map(Into::into).to_vec(),
        cwd: "/".into(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        profile: Profile::new(SandboxMode::WorkspaceWrite, Access::Read, Vec::new(), NetworkAccess::Rules),
        stdin: Stdin::Null,
        output: Output::Piped,
        proxy: Proxy::Listen,
        interception: Interception::Off,
    };
    let mut process = launcher.spawn(request).await.expect("the command starts");
    let inside = process.take_proxy_listener().expect("a listener");
    let inside = tokio::net::TcpListener::from_std(inside).expect("a listener");
    let gate = Arc::new(ToldGate::new(|host| match host {
        "127.0.0.2" => anywhere(host),
        _ => Verdict::Deny { reason: "no rule opens it".to_owned() },
    }));
    let server = ProxyServer::new(gate.clone());
    let _serving = AbortOnDropHandle::new(tokio::spawn(async move {
        server.serve(inside, CancellationToken::new()).await;
    }));
    // At every address of this machine.
    drop(open);
    let open = tokio::net::TcpListener::bind(("0.0.0.0", open_port)).await.expect("listener");
    let _server = AbortOnDropHandle::new(tokio::spawn(async move {
        answer(&open, ANSWER).await;
        assert!(!was_reached(&open).await);
        answer(&open, "HTTP/1.1 200 OK\r\n\r\nby another way").await;
    }));
    let mut output = String::new();
    process.take_output().read_to_string(&mut output).await.expect("output");
    process.wait().await.expect("an end");
    assert!(output.starts_with("hello\n"), "{output}");
    assert!(
        output.contains("is not open to commands: no rule opens it") && output.ends_with("end\n"),
        "{output}"
    );
    assert!(!output.contains("by another way") && !was_reached(&closed).await, "{output}");
    let attempts = gate.attempts.lock().expect("attempts").clone();
    assert_eq!(attempts.iter().map(|attempt| attempt.is_allowed).collect::<Vec<_>>(), [true, false]);
}
