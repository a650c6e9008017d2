//! Local sockets that a command makes or may reach, the listener for its proxy, and what it is told that was refused.

use std::io::{Read, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use protocol::item::{Refusal, RefusedOperation};
use protocol::profile::Access::{Hidden, Write};
use protocol::profile::{NetworkAccess, SandboxRung};
use sandbox::{CommandRequest, Exit, PROXY_PORT, Proxy, SandboxError, Stdin};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::site::{NAMESPACES, RUNGS, Site, helper};

/// A request to try a thing; see the helper.
fn attempt(site: &Site, thing: &[&str]) -> CommandRequest {
    let mut request = site.request(&[("work", Write)], "");
    request.argv = vec![helper().into(), "try".into()];
    request.argv.extend(thing.iter().map(Into::into));
    request
}

fn refused(operation: RefusedOperation, target: impl Into<String>) -> Refusal {
    Refusal { operation, target: target.into() }
}

#[tokio::test]
async fn sockets_that_a_command_makes_can_be_connected_to() {
    for site in Site::on(&NAMESPACES).await {
        let path = site.path("work/src/own");
        for path in [path.to_str().expect("text"), "src/relative"] {
            let ran = site.run_request(attempt(&site, &["own-socket", path])).await;
            assert_eq!(ran.exit, Exit::Code(0), "{:?} {path} {ran:?}", site.rung);
        }
        assert_eq!(site.names("work/src"), ["kept", "own", "relative"], "{:?}", site.rung);
        let outside = site.path("outside/own");
        let ran = site.run_request(attempt(&site, &["own-socket", outside.to_str().expect("text")])).await;
        assert_ne!(ran.exit, Exit::Code(0), "{:?}", site.rung);
        assert_eq!(site.names("outside"), ["kept"], "{:?}", site.rung);
    }
}

#[tokio::test]
async fn names_without_a_file_are_the_sandbox_s_own_or_closed() {
    for site in Site::on(&NAMESPACES).await {
        let mut request = attempt(&site, &["own-abstract", "skein-test"]);
        assert_eq!(site.run_request(request.clone()).await.exit, Exit::Code(0), "{:?}", site.rung);
        request.profile.network = NetworkAccess::Full;
        assert_ne!(site.run_request(request).await.exit, Exit::Code(0), "{:?}", site.rung);
    }
}

#[tokio::test]
async fn a_foreign_socket_in_place_of_an_own_one_stays_out_of_reach() {
    for site in Site::on(&NAMESPACES).await {
        let foreign = UnixListener::bind(site.path("work/foreign")).expect("listener");
        foreign.set_nonblocking(true).expect("nonblocking");
        let ran = site.run_request(attempt(&site, &["swapped-socket", "own", "foreign"])).await;
        assert_ne!(ran.exit, Exit::Code(0), "{:?}", site.rung);
        assert!(foreign.accept().is_err(), "{:?}", site.rung);
        assert!(ran.refusals.contains(&refused(RefusedOperation::Connect, "own")), "{ran:?}");
    }
}

#[tokio::test]
async fn listed_sockets_are_reached_or_refused_by_name() {
    for site in Site::on(&RUNGS).await {
        for (name, is_listed) in [("listed", true), ("other", false)] {
            let path = site.path(name);
            let listener = UnixListener::bind(&path).expect("listener");
            listener.set_nonblocking(true).expect("nonblocking");
            let mut request = attempt(&site, &["socket", path.to_str().expect("text")]);
            request.profile.unix_sockets = vec![site.path("listed")];
            if site.rung == SandboxRung::Landlock {
                let refusal = site.refusal(request).await;
                assert!(matches!(refusal, SandboxError::Refused { .. }), "{refusal:?}");
                continue;
            }
            let ran = site.run_request(request).await;
            assert_eq!(ran.exit == Exit::Code(0), is_listed, "{:?} {name} {ran:?}", site.rung);
            assert_eq!(listener.accept().is_ok(), is_listed, "{:?} {name}", site.rung);
        }
    }
}

#[tokio::test]
async fn a_listed_socket_behind_a_link_that_a_command_could_have_made_is_refused() {
    for site in Site::on(&NAMESPACES).await {
        let _listener = UnixListener::bind(site.path("other")).expect("listener");
        std::os::unix::fs::symlink(site.path("other"), site.path("work/listed")).expect("link");
        let mut request = attempt(&site, &["socket", "listed"]);
        request.profile.unix_sockets = vec![site.path("work/listed")];
        let refusal = site.refusal(request).await;
        assert!(refusal.to_string().contains("behind a link"), "{refusal}");
    }
}

/// A script of Python in the workspace.
fn python(site: &Site, script: &str) -> CommandRequest {
    let mut request = site.request(&[("work", Write)], "");
    request.argv = ["/usr/bin/python3", "-c", script].map(Into::into).to_vec();
    request
}

#[tokio::test]
async fn a_number_that_a_file_system_gives_out_again_opens_nothing() {
    let script = r#"
import os, socket, sys
connect = lambda name: socket.socket(socket.AF_UNIX).connect(name)
def bind(name):
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(name)
    return bound
for number in range(50):
    bind(f"own{number}").close()
for number in range(50):
    os.unlink(f"own{number}")
kept = bind("kept")
kept.listen()
print("gone", flush=True)
sys.stdin.read()
connect("kept")
for number in range(50):
    try:
        connect(f"foreign{number}")
        print("reached", number)
    except PermissionError:
        pass
print("end")
"#;
    for site in Site::on(&NAMESPACES).await {
        let mut request = python(&site, script);
        request.stdin = Stdin::Piped;
        let mut process = site.spawn(request).await;
        let go_on = process.take_input();
        let mut output = BufReader::new(process.take_output()).lines();
        assert_eq!(output.next_line().await.expect("output").as_deref(), Some("gone"), "{:?}", site.rung);
        let foreign =
            |number| UnixListener::bind(site.path(&format!("work/foreign{number}"))).expect("bound");
        let _foreign: Vec<_> = (0..50).map(foreign).collect();
        drop(go_on);
        assert_eq!(output.next_line().await.expect("output").as_deref(), Some("end"), "{:?}", site.rung);
        assert_eq!(process.wait().await.expect("exit"), Exit::Code(0), "{:?}", site.rung);
    }
}

#[tokio::test]
async fn the_name_of_a_listed_socket_opens_no_other_one() {
    let script = r#"
import os, socket
connect = lambda name: socket.socket(socket.AF_UNIX).connect(name)
connect("listed")
os.rename("listed", "moved")
os.link("other", "listed")
for name in ["listed", "other"]:
    try:
        connect(name)
        print("reached", name)
    except PermissionError:
        pass
connect("moved")
print("end")
"#;
    for site in Site::on(&NAMESPACES).await {
        let _listed = UnixListener::bind(site.path("work/listed")).expect("listener");
        let _other = UnixListener::bind(site.path("work/other")).expect("listener");
        let mut request = python(&site, script);
        request.profile.unix_sockets = vec![site.path("work/listed")];
        let ran = site.run_request(request).await;
        assert_eq!(ran.output, "end\n", "{:?} {ran:?}", site.rung);
    }
}

#[tokio::test]
async fn the_proxy_s_listener_hears_the_command_and_nothing_else_is_open() {
    for site in Site::on(&RUNGS).await {
        let script = "exec 3<>/dev/tcp/127.0.0.1/$PORT; echo hello >&3; cat <&3; echo $http_proxy $ALL_PROXY";
        let mut request = site.request(&[("work", Write)], "");
        request.argv =
            ["bash", "-c", &script.replace("$PORT", &PROXY_PORT.to_string())].map(Into::into).to_vec();
        request.profile.network = NetworkAccess::Rules;
        request.proxy = Proxy::Listen;
        if site.rung == SandboxRung::Landlock {
            let refusal = site.refusal(request).await;
            assert!(matches!(refusal, SandboxError::Refused { .. }), "{refusal:?}");
            continue;
        }
        let mut process = site.spawn(request).await;
        let listener = process.take_proxy_listener().expect("listener");
        assert!(process.take_proxy_listener().is_none());
        let listener = tokio::net::TcpListener::from_std(listener).expect("listener");
        let (stream, _) = listener.accept().await.expect("connection");
        let mut stream = stream.into_std().expect("stream");
        stream.set_nonblocking(false).expect("blocking");
        let mut line = [0; 6];
        stream.read_exact(&mut line).expect("line");
        assert_eq!(&line, b"hello\n");
        stream.write_all(b"through\n").expect("write");
        drop(stream);
        let mut output = String::new();
        process.take_output().read_to_string(&mut output).await.expect("output");
        assert_eq!(output, "through\nhttp://127.0.0.1:3128 socks5h://127.0.0.1:3128\n", "{:?}", site.rung);
        assert_eq!(process.wait().await.expect("exit"), Exit::Code(0));
    }
}

#[tokio::test]
async fn what_was_refused_is_told() {
    for site in Site::on(&RUNGS).await {
        let script = "echo x > src/new; echo x > ../outside/new; (exec 3<>/dev/tcp/192.0.2.7/80); echo x > /none/x; true";
        let mut request = site.request(&[("work", Write)], "");
        request.argv = ["bash", "-c", script].map(Into::into).to_vec();
        let ran = site.run_request(request).await;
        let write = refused(RefusedOperation::Write, site.path("outside/new").to_str().expect("text"));
        let mut expected = vec![write];
        if site.rung != SandboxRung::Landlock {
            expected.push(refused(RefusedOperation::Connect, "192.0.2.7:80"));
        }
        assert_eq!(ran.refusals, expected, "{:?} {ran:?}", site.rung);
    }
}

#[tokio::test]
async fn whatever_would_have_changed_a_file_is_told() {
    for site in Site::on(&RUNGS).await {
        for name in ["cut", "gone", "moved", "mode", "owner"] {
            site.write(&format!("outside/{name}"), "kept");
        }
        std::fs::create_dir(site.path("outside/empty")).expect("folder");
        let changes = [
            ("made", "os.mkdir('made', dir_fd=out)"),
            ("pipe", "os.mkfifo(o + '/pipe')"),
            ("link", "os.symlink('x', o + '/link')"),
            ("hard", "os.link('src/kept', o + '/hard')"),
            ("gone", "os.unlink('gone', dir_fd=out)"),
            ("empty", "os.rmdir(o + '/empty')"),
            ("moved", "os.rename(o + '/moved', 'moved')"),
            ("kept", "os.rename('src/kept', o + '/kept')"),
            ("cut", "os.truncate(o + '/cut', 0)"),
            ("mode", "os.chmod(o + '/mode', 0o600)"),
            ("owner", "os.chown(o + '/owner', os.getuid(), -1)"),
        ];
        let tries: String = changes.iter().map(|(_, change)| format!("tried(lambda: {change})\n")).collect();
        let script = format!(
            "import os\no = os.path.realpath('../outside')\nout = os.open(o, os.O_RDONLY)\n\
             def tried(change):\n    try:\n        change()\n    except OSError as error: print(error)\n{tries}"
        );
        let mut request = site.request(&[("work", Write)], "");
        request.argv = ["/usr/bin/python3", "-c", &script].map(Into::into).to_vec();
        let ran = site.run_request(request).await;
        let told: Vec<_> = ran.refusals.iter().map(|refusal| refusal.target.as_str()).collect();
        // Landlock holds neither modes nor owners, so nothing is said to be held.
        let is_held = |name: &str| site.rung != SandboxRung::Landlock || !["mode", "owner"].contains(&name);
        let expected: Vec<_> = changes
            .iter()
            .filter(|(name, _)| is_held(name))
            .map(|(name, _)| site.path("outside").join(name))
            .collect();
        let expected: Vec<_> = expected.iter().map(|path| path.to_str().expect("text")).collect();
        assert_eq!(told, expected, "{:?} {ran:?}", site.rung);
        assert_eq!(site.names("outside"), ["cut", "empty", "gone", "kept", "mode", "moved", "owner"]);
        assert_eq!(site.read("outside/cut"), "kept");
    }
}

#[tokio::test]
async fn what_would_have_failed_anyway_is_not_told() {
    for site in Site::on(&RUNGS).await {
        let script = "mkdir -p ../outside; mkdir ../outside; rm -f ../outside/none; rmdir ../outside/none; \
                      mv ../outside/none src/x; ln -s x ../outside/kept; chmod 600 ../outside/none; rm -r src; \
                      mkdir -p src/a/b; mv src/a src/c; ln -s c src/d; chmod 700 src/c; true";
        let ran = site.run(&[("work", Write)], script).await;
        assert_eq!(ran.refusals, [], "{:?} {ran:?}", site.rung);
        assert_eq!(site.names("work/src"), ["c", "d"], "{:?}", site.rung);
    }
}

#[tokio::test]
async fn reading_what_is_hidden_is_told_where_it_is_wanted_and_whether_anything_is_there_or_not() {
    for site in Site::on(&NAMESPACES).await {
        site.write("work/hidden/there", "secret");
        let script = "cat src/kept; cat hidden/there; cat hidden/not; ls hidden; cat ../outside/kept; \
                      ln -s ../outside/deep link; cat link/x; cat missing; cat < ../outside/kept";
        let rules = [("work", Write), ("work/hidden", Hidden), ("outside", Hidden)];
        let mut request = site.request(&rules, script);
        let silent = site.run_request(request.clone()).await;
        assert_eq!(silent.refusals, [], "{:?} {silent:?}", site.rung);
        std::fs::remove_file(site.path("work/link")).expect("link");
        request.profile.is_reading_told = true;
        let mut process = site.spawn(request).await;
        let mut output = String::new();
        process.take_output().read_to_string(&mut output).await.expect("output");
        process.wait().await.expect("exit");
        let read = |name: &str| refused(RefusedOperation::Read, site.path(name).to_str().expect("text"));
        let names = ["work/hidden/there", "work/hidden/not", "work/hidden", "outside/kept", "work/link/x"];
        assert_eq!(process.refusals(), names.map(read), "{:?} {output}", site.rung);
        assert!(output.starts_with("kept") && !output.contains("secret"), "{output}");
        // Who met it: the last was the shell itself.
        let by: Vec<_> = process
            .stopped()
            .iter()
            .map(|stopped| stopped.by.as_ref().expect("known").argv[0].to_str().expect("text").to_owned())
            .collect();
        assert_eq!(by, ["cat", "cat", "ls", "cat", "cat", "sh"], "{:?}", site.rung);
    }
}

#[tokio::test]
async fn who_met_a_refusal_is_told_with_all_that_it_was_started_with() {
    for site in Site::on(&RUNGS).await {
        let script =
            "cd src; A=b touch ../../outside/new; B=c touch ../../outside/new; touch ../../outside/new";
        let mut process = site.spawn(site.request(&[("work", Write)], script)).await;
        process.take_output().read_to_end(&mut Vec::new()).await.expect("output");
        process.wait().await.expect("exit");
        assert_eq!(process.refusals().len(), 1, "{:?}", site.rung);
        let [stopped] = process.stopped() else { panic!("{:?} {:?}", site.rung, process.stopped()) };
        let by = stopped.by.as_ref().expect("known");
        assert_eq!(by.argv, ["touch", "../../outside/new"]);
        assert_eq!((by.program.file_name(), by.cwd.clone()), (Some("touch".as_ref()), site.path("work/src")));
        assert!(by.environment.contains(&("A".into(), "b".into())), "{:?}", by.environment);
    }
}

#[tokio::test]
async fn who_met_a_refusal_is_told_with_the_folder_that_it_was_started_in() {
    for site in Site::on(&RUNGS).await {
        // Programs that go elsewhere themselves, at once or in a process that they fork; and some that were started where
        // another program had gone, in its process or in one of their own.
        let script = "mkdir ../outside/made; cd src; mkdir -p ../../outside/a/b/c; (cd /; exec touch $OUTSIDE/b); \
                      env -C .. mkdir -p ../outside/c/d; find -exec touch ../../outside/d ';' -quit; \
                      find .. -name src -execdir touch ../outside/e ';' -quit";
        site.write("outside/a/b/kept", "");
        let script = script.replace("$OUTSIDE", site.path("outside").to_str().expect("text"));
        let mut process = site.spawn(site.request(&[("work", Write)], &script)).await;
        process.take_output().read_to_end(&mut Vec::new()).await.expect("output");
        process.wait().await.expect("exit");
        let told = process.stopped().iter().map(|stopped| {
            let by = stopped.by.as_ref().expect("known");
            let target =
                Path::new(&stopped.refusal.target).strip_prefix(site.path("outside")).expect("there");
            (target.to_str().expect("text").to_owned(), by.cwd.clone())
        });
        let (work, src) = (site.path("work"), site.path("work/src"));
        let expected = [
            ("made", work.clone()),
            ("a/b/c", src.clone()),
            ("b", "/".into()),
            ("c", work.clone()),
            ("d", src),
            ("e", work),
        ];
        let expected = expected.map(|(name, folder)| (name.to_owned(), folder));
        assert_eq!(told.collect::<Vec<_>>(), expected, "{:?}", site.rung);
    }
}
