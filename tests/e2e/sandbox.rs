//! What commands of a real turn can and can't touch, seen from outside, and that nothing of them stays.

use serde_json::json;
use skein_tests::TestEnv;
use skein_tests::environment::process::Invocation;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{
    expect_none_left, good_turn, json_turn, outside, patches, runs, scene, script, wait_for_programs,
};

/// Runs a script in a turn with these arguments, and returns what the model is told.
fn told(text: &str, arguments: &[&str]) -> (TestEnv, String) {
    let (model, env) = scene([script(text), Reply::text("Done.")]);
    good_turn(&env, &[arguments, &["go"]].concat());
    let told = model.requests()[1].last_output().unwrap().to_owned();
    (env, told)
}

#[test]
fn the_workspace_is_writable_and_the_rest_is_not() {
    let outside = outside();
    let canary = outside.path().join("canary");
    let (env, told) = told(&format!("echo in > inside; echo out > {}", canary.display()), &[]);
    assert_eq!(env.read_file("inside").unwrap(), "in\n");
    assert!(!canary.exists() && told.contains("Read-only file system"), "{told}");
}

#[test]
fn git_and_skein_folders_are_read_only() {
    let (env, _) = told(
        "echo x > .git/config; echo x > .git/hooks/post-commit; mkdir .skein; mv .git away; touch alive",
        &[],
    );
    assert!(env.git(["status"]).is_ok() && !env.repository().join("away").exists());
    assert!(!env.repository().join(".git/hooks/post-commit").exists());
    assert!(
        !env.repository().join(".skein").is_dir()
            || env.repository().join(".skein").read_dir().unwrap().next().is_none()
    );
    assert!(env.repository().join("alive").exists());
}

#[test]
fn patches_are_held_to_the_same_folders() {
    let outside = outside();
    let canary = outside.path().join("canary");
    let link = format!("ln -s {} link", outside.path().display());
    let (model, env) = scene([
        patches(&format!("*** Add File: {}\n+x", canary.display())),
        patches("*** Add File: .git/hooks/post-commit\n+x"),
        script(&link),
        patches("*** Add File: link/canary\n+x"),
        Reply::text("Done."),
    ]);
    let lines = good_turn(&env, &["-a", "never", "go"]);
    assert!(
        lines.completed("file_change").iter().all(|change| change["status"] != "completed"),
        "{:?}",
        lines.0
    );
    assert!(!canary.exists() && !env.repository().join(".git/hooks/post-commit").exists());
    model.verify().unwrap();
}

#[test]
fn read_only_writes_nothing() {
    let (env, _) = told("touch made", &["-s", "read-only"]);
    assert!(!env.repository().join("made").exists());
}

#[test]
fn danger_full_access_writes_anywhere() {
    let outside = outside();
    let canary = outside.path().join("canary");
    told(&format!("touch {}", canary.display()), &["-s", "danger-full-access"]);
    assert!(canary.exists());
}

#[test]
fn the_network_is_closed_unless_it_is_opened() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected");
    let (_env, closed) = told(&connect, &[]);
    assert!(!closed.contains("connected\n"), "{closed}");
    let (_env, open) = told(&connect, &["-c", "sandbox_workspace_write.network_access=true"]);
    assert!(open.contains("connected"), "{open}");
}

/// Threat S1.
#[test]
fn the_home_of_skein_is_out_of_reach() {
    let (env, told) = told(
        "cat \"$HOME/../skein/config.toml\"; ls \"$HOME/../skein/run\" \"$HOME/../skein/state\"; echo end",
        &[],
    );
    assert!(!told.contains("daemon.sock") && !told.contains("skein.db"), "{told}");
    drop(env);
}

/// Threat S7.
#[test]
fn a_command_has_three_descriptors() {
    for arguments in [&["-s", "workspace-write"], &["-s", "danger-full-access"]] {
        let (model, env) = scene([runs(["ls", "/proc/self/fd"]), Reply::text("Done.")]);
        let command = good_turn(&env, &[&arguments[..], &["go"]].concat()).only("command_execution").clone();
        // `ls` opens the folder itself as the next one.
        assert_eq!(command["aggregated_output"], "0\n1\n2\n3\n", "{arguments:?}");
        model.verify().unwrap();
    }
}

/// Threat S8.
#[test]
fn secrets_of_the_environment_are_not_passed_on() {
    let (model, env) = scene([runs(["env"]), Reply::text("Done.")]);
    let secret = [
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "DB_PASSWORD",
        "MY_CREDENTIALS",
        "SSH_AUTH_SOCK",
        "DBUS_SESSION_BUS_ADDRESS",
        "XKEYX",
        "CODEX_API_KEY",
        "GH_PAT",
    ];
    let mut command = env.command(["exec", "--json", "go"]).variable("HARMLESS", "kept");
    for name in secret {
        command = command.variable(name, "planted-secret");
    }
    command = command.variable("DATABASE_URL", "postgres://me:planted-secret@db.example/app");
    assert_eq!(command.run().unwrap().code(), Some(0));
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(told.contains("HARMLESS=kept"), "{told}");
    for name in secret.into_iter().chain(["SCRIPTED_API_KEY", "SKEIN_", "planted-secret", "sk-scripted"]) {
        assert!(!told.contains(name), "`{name}` in {told}");
    }
}

/// Threat S4.
#[test]
fn nothing_outlives_a_command_that_returns() {
    let text = "setsid sleep 611 & (setsid sh -c 'trap \"\" TERM HUP; sleep 612 & wait' >/dev/null 2>&1 &) ; (sleep 613 <&- >&- 2>&- &); echo returned";
    for mode in ["workspace-write", "danger-full-access"] {
        let (model, env) = scene([script(text), Reply::text("Done.")]);
        let lines = good_turn(&env, &["-s", mode, "go"]);
        assert_eq!(lines.only("command_execution")["aggregated_output"], "returned\n", "{mode}");
        expect_none_left(&env, "sleep 61");
        model.verify().unwrap();
    }
}

/// Threat S4.
#[test]
fn nothing_outlives_a_command_that_times_out() {
    let call = json!({"command": "setsid sh -c 'trap \"\" TERM; sleep 621' & trap '' TERM; sleep 622", "timeout_ms": 400});
    for mode in ["workspace-write", "danger-full-access"] {
        let (_model, env) = scene([Reply::call("shell", &call), Reply::text("Done.")]);
        good_turn(&env, &["-s", mode, "go"]);
        expect_none_left(&env, "sleep 62");
    }
}

/// Threat S4.
#[test]
fn nothing_outlives_a_daemon_that_is_killed() {
    for mode in ["workspace-write", "danger-full-access"] {
        let text = "setsid sh -c 'trap \"\" TERM HUP; sleep 631' & sleep 632";
        let (_model, env) = scene([script(text)]);
        let client = env.spawn(["exec", "-s", mode, "go"]).unwrap();
        wait_for_programs(&env, "sleep 63", 2);
        env.daemon().unwrap().kill();
        expect_none_left(&env, "sleep 63");
        drop(client);
    }
}

/// Threat S9.
#[test]
fn litter_is_not_left_in_the_workspace() {
    let (env, _) = told("true", &[]);
    assert_eq!(env.git(["status", "--porcelain", "--ignored"]).unwrap(), "");
}

#[test]
fn the_sandbox_can_be_tried_by_hand() {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    let outside = outside();
    let canary = outside.path().join("canary");
    let text = format!("echo hello; touch inside; touch {}; exit 7", canary.display());
    let output = env.run(["sandbox", "--", "sh", "-c", &text]).unwrap();
    assert_eq!((output.code(), output.stdout.as_str()), (Some(7), "hello\n"), "{output:?}");
    assert!(env.repository().join("inside").exists() && !canary.exists());
    let output = env.run(["sandbox", "--policy", "read-only", "--", "touch", "other"]).unwrap();
    assert!(output.code() != Some(0) && !env.repository().join("other").exists(), "{output:?}");
    assert_eq!(env.daemon_pid(), None, "no daemon is needed for it");
}

#[test]
fn a_folder_that_is_no_repository_is_protected_all_the_same() {
    let (_model, env) =
        scene([script("mkdir -p .git/hooks && echo x > .git/config; true"), Reply::text("Done.")]);
    let folder = env.home().join("plain");
    std::fs::create_dir(&folder).unwrap();
    let output = env.command(["exec", "--skip-git-repo-check", "go"]).folder(&folder).run().unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(!folder.join(".git/config").exists(), "a repository could be planted");
}

#[test]
fn a_repository_in_the_workspace_can_not_be_hidden_by_what_is_put_beside_it() {
    let (_model, env) = scene([
        script("mkdir $(seq -f a%g 2100)"),
        script("echo x > inner/deep/.git/config; mkdir -p done"),
        Reply::text("Done."),
    ]);
    let inner = env.repository().join("inner/deep");
    std::fs::create_dir_all(&inner).unwrap();
    env.git(["init", "--quiet", inner.to_str().unwrap()]).unwrap();
    let config = std::fs::read_to_string(inner.join(".git/config")).unwrap();
    good_turn(&env, &["go"]);
    assert!(env.repository().join("a2100").exists() && env.repository().join("done").exists());
    assert_eq!(std::fs::read_to_string(inner.join(".git/config")).unwrap(), config);
}

#[test]
fn what_a_sandbox_refuses_is_told_to_the_model_and_not_the_end() {
    let (model, env) = scene([script("echo x > /etc/skein-canary"), Reply::text("It is not allowed.")]);
    let (output, lines) = json_turn(&env, &["go"]);
    assert_eq!(output.code(), Some(0), "{:?}", lines.0);
    assert_eq!(lines.only("command_execution")["status"], "failed");
    assert!(!std::path::Path::new("/etc/skein-canary").exists());
    model.verify().unwrap();
}

#[test]
fn the_weaker_rung_holds_what_it_says() {
    let outside = outside();
    let canary = outside.path().join("canary");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = format!(
        "touch sub/inside; touch {}; touch .git/planted; (exec 3<>/dev/tcp/127.0.0.1/{port}) && echo connected; setsid sleep 661 & echo end",
        canary.display()
    );
    let (model, env) = scene([script(&text), Reply::text("Done.")]);
    env.write_file("sub/file", "").unwrap();
    env.append_settings("[sandbox]\nbackend = \"landlock\"").unwrap();
    let doctor = env.run(["doctor"]).unwrap().stdout;
    assert!(doctor.contains("landlock"), "{doctor}");
    let lines = good_turn(&env, &["go"]);
    let output = lines.only("command_execution")["aggregated_output"].as_str().unwrap().to_owned();
    assert!(env.repository().join("sub/inside").exists() && !canary.exists(), "{output}");
    assert!(!env.repository().join(".git/planted").exists(), "{output}");
    assert!(output.contains("end") && !output.contains("connected\n"), "{output}");
    expect_none_left(&env, "sleep 661");
    model.verify().unwrap();
}

#[test]
fn the_rung_of_bwrap_holds_the_same() {
    if !std::path::Path::new("/usr/bin/bwrap").exists() {
        return skein_tests::skip::skipped("bwrap is not installed").unwrap();
    }
    let outside = outside();
    let canary = outside.path().join("canary");
    let text = format!(
        "touch inside; touch {}; touch .git/planted; mkdir .skein/x; setsid sleep 671 & echo end",
        canary.display()
    );
    let (model, env) = scene([script(&text), Reply::text("Done.")]);
    env.append_settings("[sandbox]\nbackend = \"bwrap\"").unwrap();
    let doctor = env.run(["doctor"]).unwrap().stdout;
    assert!(doctor.contains("bwrap"), "{doctor}");
    let lines = good_turn(&env, &["go"]);
    let output = lines.only("command_execution")["aggregated_output"].as_str().unwrap().to_owned();
    assert!(env.repository().join("inside").exists() && !canary.exists(), "{output}");
    assert!(!env.repository().join(".git/planted").exists(), "{output}");
    assert!(!env.repository().join(".skein").exists() && output.contains("end"), "{output}");
    expect_none_left(&env, "sleep 671");
    model.verify().unwrap();
}

#[test]
fn a_command_by_hand_touches_what_its_flags_say() {
    let (_, env) = scene([Reply::text("Nobody asks.")]);
    let elsewhere = outside();
    let place = elsewhere.path().to_str().unwrap();
    std::fs::write(env.repository().join("secret"), "hidden-text").unwrap();
    std::fs::write(env.repository().join("kept"), "kept").unwrap();
    let text = format!("echo out > {place}/made; cat secret; echo x >> kept; echo end");
    let flags = ["--allow-write", place, "--deny", "secret", "--allow-read", "kept"];
    let command = ["--", "sh", "-c", &text];
    let output = env.run(["sandbox"].iter().chain(&flags).chain(&command).copied()).unwrap();
    assert_eq!((output.code(), output.stdout.as_str()), (Some(0), "end\n"), "{}", output.stderr);
    assert!(elsewhere.path().join("made").exists());
    assert_eq!(env.read_file("kept").unwrap(), "kept");
}

/// Threat S8.
#[test]
fn keys_of_other_tools_are_hidden_unless_a_person_opens_them() {
    let (_, env) = scene([Reply::text("Nobody asks.")]);
    let hidden = [".aws/credentials", ".config/gcloud/x", ".netrc", ".docker/config.json", ".gnupg/x"];
    let free = [".npmrc", ".gitconfig", ".config/git/config", ".docker/x"];
    for name in hidden.into_iter().chain(free) {
        let file = env.home().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, format!("# {name}\n")).unwrap();
    }
    env.append_settings("[permissions.cloud]\npaths = { '~/.aws' = 'read' }").unwrap();
    let seen = |flags: &[&str]| {
        let script = format!("cd ~; for f in {} {}; do cat $f; done", hidden.join(" "), free.join(" "));
        let command = ["--", "sh", "-c", &script];
        let output = env.run(["sandbox"].iter().chain(flags).chain(&command).copied()).unwrap();
        output.stdout.lines().map(|line| line.trim_start_matches("# ").to_owned()).collect::<Vec<_>>()
    };
    let aws = env.home().join(".aws");
    let opened = [&[".aws/credentials"], &free[..]].concat();
    let all = [&hidden[..], &free].concat();
    for (flags, expected) in [
        (&[][..], &free[..]),
        (&["--policy", "read-only"], &free),
        (&["--strict"], &free),
        (&["--permissions", "cloud"], &opened),
        (&["--allow-read", aws.to_str().unwrap()], &opened),
        (&["--policy", "danger-full-access"], &all),
    ] {
        assert_eq!(seen(flags), expected, "{flags:?}");
    }
}

#[test]
fn flags_that_can_not_hold_are_refused() {
    let (_, env) = scene([Reply::text("Nobody asks.")]);
    let own = env.skein_home().join("config.toml");
    for flags in [
        &["--allow-read", own.to_str().unwrap()][..],
        &["--policy", "danger-full-access", "--deny", "kept"],
        &["--policy", "danger-full-access", "--allow-host", "a.net"],
        &["--network", "off", "--allow-host", "a.net"],
    ] {
        let output =
            env.run(["sandbox"].iter().chain(flags).chain(&["--", "touch", "made"]).copied()).unwrap();
        assert!(matches!(output.code(), Some(2 | 125)), "{flags:?}: {output:?}");
        assert!(!env.repository().join("made").exists(), "{flags:?}");
    }
}

#[test]
fn what_a_command_could_touch_is_explained_without_running_any() {
    let (_, env) = scene([Reply::text("Nobody asks.")]);
    let explained = env.run(["sandbox", "--explain", "--deny", "kept"]).unwrap();
    assert_eq!(explained.code(), Some(0), "{}", explained.stderr);
    let kept = env.repository().canonicalize().unwrap().join("kept");
    for line in [
        "mode      workspace-write".to_owned(),
        format!("none      {}", kept.display()),
        "network   off".to_owned(),
    ] {
        assert!(explained.stdout.lines().any(|it| it == line), "`{line}` in {}", explained.stdout);
    }
    let output = env.run(["sandbox", "--explain", "--json", "--backend", "landlock"]).unwrap();
    let told: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(told["profile"]["mode"], "workspace-write");
    assert!(told["sandbox"]["rungs"][0]["rung"] == "landlock" && told["isConfined"] == true, "{told}");
    env.append_settings("[sandbox]\nbackend = \"landlock\"").unwrap();
    let output = env.run(["sandbox", "--explain", "--json", "--backend", "auto"]).unwrap();
    let told: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(told["sandbox"]["rungs"][0]["rung"] == "namespaces", "{told}");
}

#[test]
fn the_explanation_survives_odd_names_and_says_what_no_command_would_survive() {
    let (_, env) = scene([Reply::text("Nobody asks.")]);
    env.append_settings(
        "[permissions.'x y'.paths]\n'/' = 'none'\n[permissions.gone.paths]\n'/opt/a/b' = 'write'",
    )
    .unwrap();
    // A repository below a name that is no text.
    let nested = "d=$(printf 'n\\377'); mkdir \"$d\" && git init -q \"$d\"";
    Invocation::new("/bin/sh", ["-c", nested], env.repository())
        .variable("PATH", "/usr/bin:/bin")
        .run()
        .unwrap();
    let explain = |flags: &[&str]| {
        let output = env.run(["sandbox", "--explain"].iter().chain(flags).copied()).unwrap();
        assert_eq!(output.code(), Some(0), "{output:?}");
        output.stdout
    };
    let told: serde_json::Value = serde_json::from_str(&explain(&["--json"])).unwrap();
    assert!(told["profile"].to_string().contains("n\u{fffd}/.git"), "{told}");
    assert!(told["refusal"].is_null(), "{told}");
    let words = explain(&["--permissions", "x y"]);
    assert!(words.contains(", by the permissions `x y`") && words.contains("REFUSED   "), "{words}");
    let words = explain(&["--permissions", "gone"]);
    assert!(words.contains("/opt/a/b (is not there, and can't be made)"), "{words}");
    assert!(!words.contains("REFUSED"), "{words}");
}

#[test]
fn a_command_that_nothing_confines_says_so() {
    let (_, env) = scene([Reply::text("Nobody asks.")]);
    let danger = |flags: &[&str]| {
        let arguments = ["sandbox", "--policy", "danger-full-access"].iter().chain(flags).copied();
        let output = env.run(arguments).unwrap();
        assert_eq!(output.code(), Some(0), "{output:?}");
        output
    };
    for flags in [&["--", "true"][..], &["--explain", "--", "true"], &["--json", "--", "true"]] {
        let stderr = danger(flags).stderr;
        assert_eq!(stderr.matches("nothing confines this command").count(), 1, "{flags:?}: {stderr}");
    }
    let told: serde_json::Value = serde_json::from_str(&danger(&["--json", "--explain"]).stdout).unwrap();
    assert!(told["isConfined"] == false && told["sandbox"].is_null(), "{told}");
    env.prepend_settings("sandbox_mode = \"danger-full-access\"").unwrap();
    let doctor = env.run(["doctor"]).unwrap().stdout;
    assert!(doctor.lines().any(|line| line.starts_with("danger") && line.contains("nothing confines")));
    assert!(!doctor.contains(", used:"), "{doctor}");
}

/// Threat S8.
#[test]
fn the_environment_of_the_daemon_is_out_of_reach() {
    let text = "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -e ^SKEIN_HOME= -e ^PATH= | sort -u; echo end";
    let (env, open) = told(text, &["-s", "danger-full-access"]);
    let home = format!("SKEIN_HOME={}", env.skein_home().display());
    assert!(open.contains(&home), "the attempt can succeed: {open}");
    for backend in ["namespaces", "landlock"] {
        let setting = format!("sandbox.backend={backend}");
        let (_env, told) = told(text, &["-c", &setting]);
        assert!(told.contains("PATH=") && told.contains("end"), "{backend}: {told}");
        assert!(!told.contains("SKEIN_HOME="), "{backend}: {told}");
    }
}

/// Threat S10. In a sandbox no second one with namespaces can be made, as in a container that forbids them: then commands
/// run on a weaker rung that holds, or not at all, and never as if there was none.
#[test]
fn s10_where_a_rung_is_not_to_be_had_a_command_is_refused_or_confined_all_the_same() {
    let outside = outside();
    let canary = outside.path().join("canary");
    let (_, env) = scene([Reply::text("Nobody asks.")]);
    let skein = skein_tests::environment::executable::skein_exe().unwrap();
    let inner = |backend: &str, name: &str| {
        let (skein, canary) = (skein.display(), canary.display());
        format!(
            "{skein} sandbox --backend {backend} -- sh -c 'touch {name} {canary}; echo {name}-ran'; echo $?"
        )
    };
    let text = format!("{}; {}", inner("namespaces", "forced"), inner("auto", "chosen"));
    let output = env.run(["sandbox", "--", "sh", "-c", &text]).unwrap();
    assert!(output.stdout.starts_with("125\n"), "it says that it does not run: {output:?}");
    assert!(!output.stdout.contains("forced-ran") && !env.repository().join("forced").exists(), "{output:?}");
    assert!(output.stderr.contains("namespaces"), "and names what is missing: {output:?}");
    assert!(!canary.exists(), "{output:?}");
}
