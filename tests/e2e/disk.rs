//! A disk that is full, and one that can't be written: mounted for the test alone.

use skein_tests::environment::executable::skein_exe;
use skein_tests::environment::process::{Invocation, Output};
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::scripted_model::request::Request;
use skein_tests::scripted_model::server::Options;
use skein_tests::skip::skipped;
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::scene;

/// What the script ends with when it may not mount.
const NO_MOUNT: i32 = 77;

/// Runs a script where mounts are seen by nobody else. `$skein` is the binary, `$SKEIN_HOME` the home.
fn among_own_mounts(env: &TestEnv, script: &str) -> Output {
    let namespace = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
    let path = std::env::var_os("PATH").unwrap();
    let shell = Invocation::new("unshare", [namespace, "sh", "-c", script], env.repository())
        .variable("PATH", path)
        .variable("HOME", env.home())
        .variable("SKEIN_HOME", env.skein_home())
        .variable("TMPDIR", env.temporary())
        .variable("SCRIPTED_API_KEY", "sk-scripted")
        .variable("skein", skein_exe().unwrap());
    shell.run().unwrap()
}

#[test]
fn a_full_disk_fails_the_turn_and_loses_nothing() {
    let big = Answer::new().text("x".repeat(6_000_000)).in_pieces(60);
    let answering = move |request: &Request| match request.user_texts().last() {
        Some(&"too much") => big.clone().into(),
        Some(_) | None => Reply::text("Done."),
    };
    let model = ScriptedModel::answering(Options::default(), answering).unwrap();
    let env = TestEnv::new(&model).unwrap();
    let output = among_own_mounts(
        &env,
        "mkdir -p $SKEIN_HOME/state && mount -t tmpfs -o size=8m,mode=700 none $SKEIN_HOME/state || exit 77
         $skein exec first || exit 1
         head -c 4000000 /dev/zero > $SKEIN_HOME/state/fill
         $skein exec 'too much' > /dev/null; echo \"code $?\"
         rm $SKEIN_HOME/state/fill
         $skein exec second || exit 3
         $skein exec resume --last third || exit 4
         $skein sessions list
         $skein daemon stop",
    );
    if output.code() == Some(NO_MOUNT) {
        return skipped("nothing may be mounted here").unwrap();
    }
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(output.stdout.contains("code 1\n"), "{output:?}");
    assert!(output.stderr.contains("No space is left"), "{}", output.stderr);
    for prompt in ["first", "too much", "second"] {
        assert!(output.stdout.lines().any(|line| line.ends_with(prompt)), "`{prompt}` in {}", output.stdout);
    }
}

#[test]
fn a_home_on_a_read_only_disk_is_told_with_5() {
    let (model, env) = scene([Reply::text("One.")]);
    let output = among_own_mounts(
        &env,
        "mount --bind $SKEIN_HOME $SKEIN_HOME && mount -o remount,bind,ro $SKEIN_HOME || exit 77
         exec $skein exec one",
    );
    if output.code() == Some(NO_MOUNT) {
        return skipped("nothing may be mounted here").unwrap();
    }
    assert_eq!((output.code(), model.requests().len()), (Some(5), 0), "{output:?}");
    let told = output.stderr.to_lowercase();
    assert!(told.contains("read-only") && told.contains("skein"), "{told}");
}

#[test]
fn a_home_that_becomes_read_only_is_told_and_comes_back() {
    let (_model, env) = scene([Reply::text("One."), Reply::text("Two."), Reply::text("Three.")]);
    let output = among_own_mounts(
        &env,
        "mount --bind $SKEIN_HOME $SKEIN_HOME || exit 77
         $skein exec one || exit 1
         $skein daemon stop
         for try in 1 2 3 4 5 6 7 8 9; do mount -o remount,bind,ro $SKEIN_HOME 2>/dev/null && break; sleep 0.2; done
         touch $SKEIN_HOME/writable 2>/dev/null && exit 77
         $skein exec two && exit 2
         mount -o remount,bind,rw $SKEIN_HOME
         $skein exec resume --last three || exit 3
         $skein daemon stop",
    );
    if output.code() == Some(NO_MOUNT) {
        return skipped("nothing may be mounted here").unwrap();
    }
    assert_eq!(output.code(), Some(0), "{output:?}");
}
