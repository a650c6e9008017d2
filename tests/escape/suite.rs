//! Runs the tables: every attempt on every rung that there is, by root and by an ordinary user.

use skein_tests::skip::skipped;

use crate::attempt::{Attempt, Control, Rungs};
use crate::attempts;
use crate::witness::Witness;
use crate::yard::{Run, User, Yard};

/// What came of an attempt.
fn leaks(user: User, how: Run<'_>, attempt: &Attempt) -> Vec<String> {
    let yard = Yard::new(user);
    let witness = Witness::new(&yard);
    let variables = witness.variables();
    let output = yard.run(how, attempt.script, &variables);
    witness.leaks(&output)
}

/// Whether a rung can be tested; says why not.
pub(crate) fn is_there(user: User, rung: &str) -> bool {
    if user == User::Ordinary && !rustix::process::geteuid().is_root() {
        skipped("only root can be another user").unwrap();
        return false;
    }
    let output = Yard::new(user).run(Run::Confined { rung, policy: "workspace-write" }, "true", &[]);
    if output.code() == Some(0) {
        return true;
    }
    skipped(&format!("the rung `{rung}` is not available: {}", output.stderr)).unwrap();
    false
}

fn held(user: User, rung: &str) {
    if !is_there(user, rung) {
        return;
    }
    let mut found = Vec::new();
    for attempt in attempts::all() {
        if attempt.rungs == Rungs::Namespaces && rung == "landlock" {
            continue;
        }
        let leaks = leaks(user, Run::Confined { rung, policy: attempt.policy }, &attempt);
        if !leaks.is_empty() {
            found.push(format!("{}: {}", attempt.name, leaks.join("; ")));
        }
    }
    assert!(found.is_empty(), "{rung}, {user:?}: {} leaks\n{}", found.len(), found.join("\n"));
}

#[test]
fn namespaces_hold_what_is_tried() {
    held(User::Own, "namespaces");
}

#[test]
fn namespaces_hold_what_an_ordinary_user_tries() {
    held(User::Ordinary, "namespaces");
}

#[test]
fn bubblewrap_holds_what_is_tried() {
    held(User::Own, "bwrap");
}

#[test]
fn bubblewrap_holds_what_an_ordinary_user_tries() {
    held(User::Ordinary, "bwrap");
}

#[test]
fn landlock_holds_what_is_tried() {
    held(User::Own, "landlock");
}

#[test]
fn landlock_holds_what_an_ordinary_user_tries() {
    held(User::Ordinary, "landlock");
}

#[test]
fn without_a_sandbox_the_attempts_work() {
    let user = if rustix::process::geteuid().is_root() { User::Ordinary } else { User::Own };
    let tried: Vec<_> = attempts::all().filter(|attempt| attempt.control == Control::Works).collect();
    let harmless: Vec<_> =
        tried.iter().filter(|attempt| leaks(user, Run::Free, attempt).is_empty()).collect();
    let names: Vec<_> = harmless.iter().map(|attempt| attempt.name).collect();
    assert!(names.is_empty(), "{} of {} rows can't fail: {names:?}", names.len(), tried.len());
}

#[test]
fn there_are_as_many_attempts_as_promised_and_no_name_comes_twice() {
    let mut names: Vec<_> = attempts::all().map(|attempt| attempt.name).collect();
    assert!(names.len() >= 80, "{}", names.len());
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), attempts::all().count());
}
