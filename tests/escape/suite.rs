//! Runs the tables: every attempt on every rung that there is, by root and by an ordinary user.

use skein_tests::skip::skipped;

use crate::attempt::{Attempt, Control, OnLandlock, Under};
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

/// What a rung says of itself.
pub(crate) fn explanation(user: User, rung: &str) -> String {
    Yard::new(user).explain(rung).stderr
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
    let explanation = explanation(user, rung);
    for attempt in attempts::all() {
        let how = match attempt.under {
            Under::Policy(policy) => Run::Confined { rung, policy },
            Under::Permissions(permissions) => Run::Permitted { rung, permissions },
        };
        let leaks = leaks(user, how, &attempt);
        match attempt.on_landlock {
            OnLandlock::Admitted(words) if rung == "landlock" => {
                // The administrator's own processes have capabilities, which protects them.
                let is_privileged = user == User::Own && rustix::process::geteuid().is_root();
                if leaks.is_empty() && !is_privileged {
                    found.push(format!("{}: it is held, and need not be admitted", attempt.name));
                } else if !leaks.is_empty() && !explanation.contains(words) {
                    found.push(format!("{}: `{words}` is not in: {explanation}", attempt.name));
                }
            }
            OnLandlock::Admitted(_) | OnLandlock::Held => {
                if !leaks.is_empty() {
                    found.push(format!("{}: {}", attempt.name, leaks.join("; ")));
                }
            }
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

/// Those of these rows that do nothing even without a sandbox.
fn idle(user: User, control: Control) -> Vec<&'static str> {
    let tried = attempts::all().filter(|attempt| attempt.control == control);
    let idle = tried.filter(|attempt| leaks(user, Run::Free, attempt).is_empty());
    idle.map(|attempt| attempt.name).collect()
}

#[test]
fn without_a_sandbox_the_attempts_work() {
    let user = if rustix::process::geteuid().is_root() { User::Ordinary } else { User::Own };
    let idle = idle(user, Control::Works);
    assert!(idle.is_empty(), "{} rows can't fail: {idle:?}", idle.len());
}

#[test]
fn without_a_sandbox_the_attempts_of_the_administrator_work() {
    if !rustix::process::geteuid().is_root() {
        skipped("only root can try what root can do").unwrap();
        return;
    }
    let idle = idle(User::Own, Control::WorksForRoot);
    assert!(idle.is_empty(), "{} rows can't fail: {idle:?}", idle.len());
}

#[test]
fn there_are_as_many_attempts_as_promised_and_no_name_comes_twice() {
    let mut names: Vec<_> = attempts::all().map(|attempt| attempt.name).collect();
    assert!(names.len() >= 80, "{}", names.len());
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), attempts::all().count());
}
