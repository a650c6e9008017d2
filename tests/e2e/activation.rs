//! A service manager that makes the socket and starts the daemon when somebody connects.

use std::fs;

use skein_tests::TestEnv;
use skein_tests::environment::executable::skein_exe;
use skein_tests::environment::process::Invocation;
use skein_tests::scripted_model::reply::Reply;
use skein_tests::skip::skipped;

use crate::scene::{SOON, good_turn, scene, socket};

fn activator(env: &TestEnv) -> Invocation {
    let (socket, home) = (socket(env), format!("SKEIN_HOME={}", env.skein_home().display()));
    let skein = skein_exe().unwrap();
    let arguments =
        ["-l", socket.to_str().unwrap(), "-E", &home, "-E", "HOME", skein.to_str().unwrap(), "daemon", "run"];
    Invocation::new("systemd-socket-activate", arguments.map(str::to_owned), "/")
        .variable("PATH", "/usr/bin:/bin")
        .variable("HOME", env.home())
}

#[test]
fn the_daemon_serves_the_socket_that_it_is_handed_and_leaves_it_there() {
    let version =
        Invocation::new("systemd-socket-activate", ["--version"], "/").variable("PATH", "/usr/bin:/bin");
    if version.run().is_err() {
        return skipped("systemd-socket-activate is not installed").unwrap();
    }
    let (_model, env) = scene([Reply::text("Hello.")]);
    fs::create_dir_all(socket(&env).parent().unwrap()).unwrap();
    let activator = activator(&env).spawn().unwrap();
    activator.wait_for_stderr("Listening on", SOON).unwrap();
    assert!(env.daemon_pid().is_none(), "nobody has connected yet");
    good_turn(&env, &["hello"]);
    assert_eq!(env.daemon_pid().unwrap(), activator.pid(), "it is the one that was handed the socket");
    assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    activator.wait(SOON).unwrap();
    assert!(socket(&env).exists(), "the socket is the service manager's");
}
