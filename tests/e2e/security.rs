//! What another user of the machine can try (threats U1 to U9, B1 and B3), with real users where the tests run
//! as root.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::api::daemon::DaemonClient;
use protocol::daemon::DaemonStatusParams;
use skein_tests::TestEnv;
use skein_tests::environment::executable::skein_exe;
use skein_tests::environment::process::{Invocation, Output};
use skein_tests::scripted_model::reply::Reply;
use skein_tests::skip::skipped;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use crate::scene::{
    SOON, client, good_turn, resident, runs, scene, seen, socket, state_folder, up, wait_for_programs,
};

/// The user id of nobody in particular.
const OTHER: &str = "65534";
const NOT_ROOT: &str = "only root can become another user";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program as another user, with a limit of time.
fn as_other<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> Invocation {
    let user = ["--reuid", OTHER, "--regid", OTHER, "--clear-groups", "--"].map(Into::into);
    let program = program.as_ref().to_owned();
    let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned());
    Invocation::new("setpriv", user.into_iter().chain([program]).chain(arguments), "/")
        .variable("PATH", "/usr/local/bin:/usr/bin:/bin")
        .limit(SOON)
}

fn chmod(mode: &str, path: &Path) {
    let path = path.to_str().unwrap();
    let output = Invocation::new("chmod", [mode, path], "/").variable("PATH", "/usr/bin:/bin").run().unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
}

fn chown(path: &Path) {
    let path = path.to_str().unwrap();
    let output =
        Invocation::new("chown", ["-h", OTHER, path], "/").variable("PATH", "/usr/bin:/bin").run().unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
}

/// What is said in the octal mode bits of a path.
fn mode(path: &Path) -> String {
    let output = Invocation::new("stat", ["-c", "%a", path.to_str().unwrap()], "/")
        .variable("PATH", "/usr/bin:/bin")
        .run()
        .unwrap();
    output.stdout.trim().to_owned()
}

/// Opens all folders from the home's root to a path, for everybody.
fn open_up(env: &TestEnv, path: &Path) {
    let root = env.home().parent().unwrap().to_owned();
    for folder in path.ancestors().take_while(|folder| folder.starts_with(&root)) {
        chmod("777", folder);
    }
}

fn curl(path: &Path) -> [String; 7] {
    ["-sS", "--max-time", "5", "--unix-socket", path.to_str().unwrap(), "-i", "http://localhost/"]
        .map(str::to_owned)
}

#[test]
fn the_socket_is_for_its_owner_only() {
    let (_model, env) = scene([Reply::text("Hi.")]);
    good_turn(&env, &["hello"]);
    let socket = socket(&env);
    assert_eq!((mode(socket.parent().unwrap()), mode(&socket)), ("700".to_owned(), "600".to_owned()));
}

#[test]
fn another_user_is_refused_even_where_the_modes_would_let_them() {
    if !is_root() {
        return skipped(NOT_ROOT).unwrap();
    }
    let (_model, env) = scene([Reply::text("Hi.")]);
    good_turn(&env, &["hello"]);
    let socket = socket(&env);
    let answer = Invocation::new("curl", curl(&socket), "/").variable("PATH", "/usr/bin:/bin").run().unwrap();
    assert!(answer.stdout.starts_with("HTTP/1.1"), "its owner gets an answer: {answer:?}");
    let refused = as_other("curl", curl(&socket)).run().unwrap();
    assert!(refused.code() != Some(0) && refused.stdout.is_empty(), "{refused:?}");
    open_up(&env, &socket);
    let refused = as_other("curl", curl(&socket)).run().unwrap();
    assert!(refused.code() != Some(0) && refused.stdout.is_empty(), "{refused:?}");
    let log = env.run(["daemon", "logs"]).unwrap().stdout;
    assert!(log.contains(OTHER), "the log names the user: {log}");
}

#[test]
fn a_page_in_a_browser_is_refused() {
    let (_model, env) = scene([Reply::text("Hi.")]);
    good_turn(&env, &["hello"]);
    let upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let with = |more: &[&str]| {
        let headers = upgrade.iter().chain(more).flat_map(|header| ["-H".to_owned(), (*header).to_owned()]);
        let arguments: Vec<_> =
            headers.chain(curl(&socket(&env))).chain(["--max-time".to_owned(), "2".to_owned()]).collect();
        Invocation::new("curl", arguments, "/").variable("PATH", "/usr/bin:/bin").run().unwrap().stdout
    };
    assert!(with(&[]).starts_with("HTTP/1.1 101"), "{}", with(&[]));
    for origin in ["Origin: http://evil.example", "Origin: null", "Origin: http://localhost"] {
        assert!(with(&[origin]).starts_with("HTTP/1.1 403"), "{origin}: {}", with(&[origin]));
    }
}

/// The places that another user can prepare where the runtime folder is not private.
fn squat(variant: usize, place: &Path, foreign: &Path) {
    match variant {
        0 => fs::create_dir(place).unwrap(),
        1 => fs::write(place, "").unwrap(),
        2 => {
            let link = ["-s", foreign.to_str().unwrap(), place.to_str().unwrap()];
            Invocation::new("ln", link, "/").variable("PATH", "/usr/bin:/bin").run().unwrap();
        }
        3 => {
            let link = ["-s", "/nowhere", place.to_str().unwrap()];
            Invocation::new("ln", link, "/").variable("PATH", "/usr/bin:/bin").run().unwrap();
        }
        4 => {
            fs::create_dir(place).unwrap();
            fs::write(place.join("daemon.sock"), "").unwrap();
        }
        _ => {
            let fifo = [place.to_str().unwrap()];
            Invocation::new("mkfifo", fifo, "/").variable("PATH", "/usr/bin:/bin").run().unwrap();
        }
    }
    chown(place);
    chmod("777", foreign);
}

#[test]
fn a_place_that_somebody_took_is_not_used_and_stops_nobody() {
    if !is_root() {
        return skipped(NOT_ROOT).unwrap();
    }
    for variant in 0..6 {
        let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
        let runtime = env.home().join("runtime");
        let foreign = env.home().join("foreign");
        fs::create_dir(&runtime).unwrap();
        fs::create_dir(&foreign).unwrap();
        squat(variant, &runtime.join("skein"), &foreign);
        chown(&foreign);
        chown(&runtime);
        chmod("777", &runtime);
        let command = |arguments: &[&str]| {
            env.command(arguments.iter().copied())
                .without_variable("SKEIN_HOME")
                .variable("XDG_RUNTIME_DIR", &runtime)
        };
        let output = command(&["ps"]).run().unwrap();
        assert_eq!(output.code(), Some(0), "variant {variant}: {output:?}");
        assert_eq!(fs::read_dir(&foreign).unwrap().count(), 0, "variant {variant}");
        let status = command(&["daemon", "status"]).run().unwrap();
        assert!(!seen(&status).contains(runtime.to_str().unwrap()), "variant {variant}: {status:?}");
        command(&["daemon", "stop"]).run().unwrap();
    }
}

#[test]
fn a_foreign_listener_gets_no_byte() {
    if !is_root() {
        return skipped(NOT_ROOT).unwrap();
    }
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    let socket = socket(&env);
    let folder = socket.parent().unwrap().to_owned();
    fs::create_dir(&folder).unwrap();
    open_up(&env, &folder);
    let listen = format!(
        "require('net').createServer(s => {{ console.log('connected'); s.on('data', d => console.log('bytes', d.length)); }})
            .listen({:?}, () => console.log('listening'))",
        socket.to_str().unwrap()
    );
    let listener = as_other("node", ["-e", &listen]).spawn().unwrap();
    listener.wait_for_stdout("listening", SOON).unwrap();
    chmod("700", &folder);
    for arguments in [&["ps"][..], &["exec", "hello"], &["daemon", "status"]] {
        env.command(arguments.iter().copied()).run().unwrap();
    }
    assert!(!listener.stdout().contains("bytes"), "{}", listener.stdout());
}

#[test]
fn the_daemon_of_another_user_is_refused_even_by_root() {
    if !is_root() {
        return skipped(NOT_ROOT).unwrap();
    }
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    let home = env.home().join("theirs");
    fs::create_dir(&home).unwrap();
    open_up(&env, &home);
    chown(&home);
    chmod("700", &home);
    let executable = fs::canonicalize(skein_exe().unwrap()).unwrap();
    let theirs = as_other(&executable, ["daemon", "run"])
        .variable("HOME", &home)
        .variable("SKEIN_HOME", home.join("skein"));
    let daemon = theirs.spawn().unwrap();
    let ours = |arguments: &[&str]| -> Output {
        env.command(arguments.iter().copied()).variable("SKEIN_HOME", home.join("skein")).run().unwrap()
    };
    let socket: PathBuf = home.join("skein/run/daemon.sock");
    let wait = format!("until test -S {}; do sleep 0.02; done", socket.display());
    Invocation::new("/bin/sh", ["-c", &wait], "/").variable("PATH", "/usr/bin:/bin").run().unwrap();
    let output = ours(&["exec", "hello"]);
    assert_eq!(output.code(), Some(5), "{output:?}");
    assert!(output.stderr.contains(OTHER) || output.stderr.contains("another user"), "{}", output.stderr);
    // The kernel gives the files of a process that can't be dumped or traced to root.
    let pid = fs::read_to_string(home.join("skein/state/daemon.lock")).unwrap();
    let owner = Invocation::new("stat", ["-c", "%u", &format!("/proc/{}/status", pid.trim())], "/")
        .variable("PATH", "/usr/bin:/bin")
        .run()
        .unwrap();
    assert_eq!(owner.stdout.trim(), "0", "the daemon is dumpable");
    drop(daemon);
}

#[test]
fn files_are_private_whatever_the_umask() {
    let (_model, env) = scene([runs(["echo", "hello"]), Reply::text("Hi.")]);
    let skein = skein_exe().unwrap();
    let text = format!("umask 000; exec {} exec hello", skein.display());
    let shell = Invocation::new("/bin/sh", ["-c", &text], env.repository())
        .variable("PATH", "/usr/bin:/bin")
        .variable("HOME", env.home())
        .variable("SKEIN_HOME", env.skein_home())
        .variable("TMPDIR", env.temporary())
        .variable("SCRIPTED_API_KEY", "sk-scripted");
    let output = shell.run().unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let state = state_folder(&env);
    let run = socket(&env).parent().unwrap().to_owned();
    let find = [state.to_str().unwrap(), run.to_str().unwrap(), "-perm", "/077"];
    let found = Invocation::new("find", find, "/").variable("PATH", "/usr/bin:/bin").run().unwrap();
    assert_eq!((found.code(), found.stdout.as_str()), (Some(0), ""), "{found:?}");
}

#[test]
fn no_secret_is_on_a_command_line() {
    let (_model, env) = scene([runs(["sleep", "641"])]);
    let client = env.spawn(["exec", "go"]).unwrap();
    wait_for_programs(&env, "sleep 641", 1);
    let all = env.processes();
    assert!(all.iter().all(|process| !process.command.contains("sk-scripted")), "{all:?}");
    // Another user sees neither the daemon's variables nor those of its commands.
    if is_root() {
        for process in &all {
            let environ = format!("/proc/{}/environ", process.pid);
            let output = as_other("cat", [environ]).run().unwrap();
            assert!(output.stdout.is_empty(), "{process:?}: {output:?}");
        }
    }
    drop(client);
}

#[test]
fn the_daemons_own_variables_hold_no_secret() {
    let (_model, env) = scene([Reply::text("Hi.")]);
    good_turn(&env, &["hello"]);
    let environ = match fs::read(format!("/proc/{}/environ", env.daemon_pid().unwrap())) {
        Ok(environ) => environ,
        // Only root may look, which is as well.
        Err(error) => return assert!(!is_root() && error.kind() == ErrorKind::PermissionDenied, "{error}"),
    };
    assert!(
        !String::from_utf8_lossy(&environ).contains("sk-scripted"),
        "the key belongs to the client that has it"
    );
}

#[test]
fn temporary_files_have_no_predictable_names() {
    if !is_root() {
        return skipped("only root can watch a daemon, which makes itself private").unwrap();
    }
    let strace = Invocation::new("strace", ["--version"], "/").variable("PATH", "/usr/bin:/bin").run();
    if !strace.is_ok_and(|output| output.code() == Some(0)) {
        return skipped("strace is not installed").unwrap();
    }
    let (_model, env) = scene([runs(["true"]), Reply::text("Hi.")]);
    // The trace ends with the last process, so the daemon must.
    env.append_settings("[daemon]\nidle_exit = \"200ms\"").unwrap();
    let trace = env.home().join("trace");
    let skein = skein_exe().unwrap();
    let arguments = [
        "-f",
        "-qq",
        "-e",
        "trace=open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,bind",
        "-o",
        trace.to_str().unwrap(),
        skein.to_str().unwrap(),
        "exec",
        "hello",
    ];
    let traced = Invocation::new("strace", arguments, env.repository())
        .variable("PATH", "/usr/bin:/bin")
        .variable("HOME", env.home())
        .variable("SKEIN_HOME", env.skein_home())
        .variable("SCRIPTED_API_KEY", "sk-scripted")
        .limit(Duration::from_secs(60));
    traced.run().unwrap();
    let trace = fs::read_to_string(&trace).unwrap();
    assert!(trace.contains("daemon.sock"), "the daemon was traced too");
    let careless: Vec<_> = trace.lines().filter(|line| is_careless(line)).collect();
    assert!(careless.is_empty(), "{careless:#?}");
}

/// Whether a system call makes something directly in a shared folder that another user could have made before,
/// or could use.
fn is_careless(call: &str) -> bool {
    let shared = ["/tmp/", "/var/tmp/", "/dev/shm/"];
    let path = call.split('"').nth(1).unwrap_or_default();
    let name = shared.iter().find_map(|folder| path.strip_prefix(folder)).unwrap_or("inside/of/something");
    let is_folder = call.contains("mkdir");
    let is_made = is_folder || call.contains("O_CREAT") || call.contains("mknod") || call.contains("bind");
    let is_safe = call.contains("O_EXCL") || (is_folder && call.contains(", 0700)"));
    is_made && !is_safe && !name.contains('/')
}

#[test]
fn nothing_listens_on_the_network() {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    up(&env);
    let sockets =
        Invocation::new("ss", ["-Hlnp", "-A", "tcp,udp,raw"], "/").variable("PATH", "/usr/bin:/bin");
    let sockets = sockets.run().unwrap();
    assert_eq!(sockets.code(), Some(0), "{sockets:?}");
    let own = format!("pid={},", env.daemon_pid().unwrap());
    assert!(!sockets.stdout.contains(&own), "{}", sockets.stdout);
}

/// What a client says that never comes to the point.
const SLOW: [&[u8]; 5] = [
    b"",
    b"GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"EHLO example.org\r\n",
    // A frame of 2^62 bytes begins after the upgrade.
    b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
      sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
      \x81\xff\x3f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00[[[[[[[[",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_lead_nowhere_disturb_nobody_heavy() {
    const CONNECTIONS: usize = 500;
    const MOST: u64 = 64 << 20;
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    up(&env);
    let owner = client(&env, "owner").await;
    let pid = env.daemon_pid().unwrap();
    let before = resident(pid);
    let mut open = Vec::new();
    for number in 0..CONNECTIONS {
        // One that finds no room is refused, which is as good.
        let Ok(mut stream) = UnixStream::connect(socket(&env)).await else { continue };
        if stream.write_all(SLOW[number % SLOW.len()]).await.is_ok() {
            open.push(stream);
        }
    }
    assert!(open.len() > CONNECTIONS / 10, "{}", open.len());
    let mut times = Vec::new();
    for _ in 0..20 {
        let begin = Instant::now();
        DaemonClient::status(owner.rpc(), DaemonStatusParams::default()).await.unwrap();
        times.push(begin.elapsed());
    }
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_millis(100), "{times:?}");
    let now = resident(pid);
    assert!(now.saturating_sub(before) < MOST, "{before} bytes became {now}");
    drop(open);
    // Room is made again.
    let begin = Instant::now();
    while env.run(["ps"]).unwrap().code() != Some(0) {
        assert!(begin.elapsed() < SOON);
    }
}
