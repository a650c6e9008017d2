//! Keys in a keyring of the platform: GNOME's Secret Service, on a session bus of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use skein_tests::environment::process::{Input, Invocation};
use skein_tests::scripted_model::reply::Reply;
use skein_tests::{ScriptedModel, TestEnv, skip};
use tempfile::TempDir;

const MISSING: &str = "`dbus-daemon` and `gnome-keyring-daemon` are not installed (Debian: dbus-daemon, dbus-bin, \
     gnome-keyring)";

/// A bus that starts nothing by itself.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
    "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"#;

/// A desktop, as far as secrets are concerned. It ends when it is dropped.
struct Desktop {
    programs: [Child; 2],
    address: String,
    folder: TempDir,
}

impl Desktop {
    /// One that was unlocked when somebody signed in; `None` where there is none to be had.
    fn unlocked() -> Option<Self> {
        let is_there = |program: &&str| Path::new("/usr/bin").join(program).exists();
        if !["dbus-daemon", "dbus-send", "gnome-keyring-daemon"].iter().all(is_there) {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("bus.conf");
        fs::write(&file, BUS).unwrap();
        let start = |program: &str, arguments: &[&str], address: &str| {
            Command::new(program)
                .args(arguments)
                .env_clear()
                .envs([("PATH", "/usr/bin:/bin"), ("DBUS_SESSION_BUS_ADDRESS", address)])
                .env("HOME", folder.path())
                .env("XDG_RUNTIME_DIR", folder.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let config = format!("--config-file={}", file.display());
        let mut bus = start("dbus-daemon", &["--nofork", "--nopidfile", "--print-address=1", &config], "");
        let mut address = String::new();
        BufReader::new(bus.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        let arguments = ["--foreground", "--unlock", "--components=secrets"];
        let mut ring = start("gnome-keyring-daemon", &arguments, &address);
        ring.stdin.take().unwrap().write_all(b"the password of a login").unwrap();
        let asks = "dbus-send --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \
                    string:org.freedesktop.secrets | grep -q true";
        Invocation::new("/bin/sh", ["-c", &format!("until {asks}; do sleep 0.01; done")], folder.path())
            .variable("PATH", "/usr/bin:/bin")
            .variable("DBUS_SESSION_BUS_ADDRESS", &address)
            .run()
            .unwrap();
        Some(Self { programs: [ring, bus], address, folder })
    }

    fn command(&self, env: &TestEnv, arguments: &[&str]) -> Invocation {
        env.command(arguments.iter().copied()).variable("DBUS_SESSION_BUS_ADDRESS", &self.address)
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        for program in &mut self.programs {
            // One that is gone has ended by itself.
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

#[test]
fn a_key_lies_in_the_keyring_and_nowhere_else() {
    let Some(desktop) = Desktop::unlocked() else { return skip::skipped(MISSING).unwrap() };
    let model = ScriptedModel::start([Reply::text("Hi."), Reply::text("Hi.")]).unwrap();
    let env = TestEnv::new(&model).unwrap();
    let settings = fs::read_to_string(env.settings_file()).unwrap();
    env.write_settings(&settings.replace("SCRIPTED_API_KEY", "ANOTHER_KEY")).unwrap();
    let run = |arguments: &[&str]| desktop.command(&env, arguments).run().unwrap();

    let login = desktop
        .command(&env, &["login", "scripted"])
        .input(Input::Text("sk-of-login\n".into()))
        .run()
        .unwrap();
    assert!(login.code() == Some(0) && login.stdout.contains("in the keyring"), "{login:?}");
    assert!(!env.skein_home().join("state/credentials.json").exists());
    assert_eq!(run(&["exec", "hello"]).code(), Some(0));
    // The next daemon finds it there.
    assert_eq!(run(&["daemon", "stop"]).code(), Some(0));
    assert_eq!(run(&["exec", "hello"]).code(), Some(0));
    for request in model.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer sk-of-login"));
    }
    let whoami = run(&["whoami"]);
    assert!(whoami.stdout.contains("in the keyring") && !whoami.stdout.contains("sk-of-login"), "{whoami:?}");
    let kept = fs::read_dir(desktop.folder.path().join(".local/share/keyrings")).unwrap();
    let kept: Vec<u8> = kept.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(!kept.is_empty() && !kept.windows(11).any(|window| window == b"sk-of-login"), "it is encrypted");

    assert_eq!(run(&["logout"]).code(), Some(0));
    assert_eq!(run(&["exec", "hello"]).code(), Some(1), "it is gone");
}
