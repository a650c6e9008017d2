//! What would use up the machine, under a profile that bounds it: real forks, real memory. Judged by what is counted in
//! files of the workspace, and by what is left.

use std::fs;

use crate::suite::{explanation, is_there};
use crate::witness::Witness;
use crate::yard::{Run, User, Yard};

/// Forks until it can't, or has often enough; the children go when it does.
const FORKS: &str = "$PYTHON -c '
import os
count, (reader, writer) = 0, os.pipe()
while count < 450:
    try:
        if os.fork() == 0: os.close(writer); os.read(reader, 1); os._exit(0)
    except OSError: break
    count += 1
open(\"kept\", \"w\").write(str(count))'";

/// Each starts two, for as long as it goes.
const WILD_FORKS: &str = "bomb() { bomb | bomb & }; bomb 2> /dev/null; $PYTHON -c '
for _ in range(1000000): pass'; echo 0 > kept";

/// Takes megabytes until it can't, or has enough.
const MEMORY: &str = "$PYTHON -c '
kept, counted = [], open(\"kept\", \"w\")
while len(kept) < 300:
    kept.append(bytearray(b\"x\") * 1000000)
    counted.seek(0); counted.write(str(len(kept))); counted.flush()'; true";

/// How far a script came; none if the profile was refused, as the rung says it would be.
fn counted(user: User, how: Run<'_>, script: &str) -> Option<u32> {
    let yard = Yard::new(user);
    let witness = Witness::new(&yard);
    let output = yard.run(how, script, &witness.variables());
    if let Run::Permitted { rung, .. } = how
        && output.stderr.contains("bound on processes can't be held")
    {
        assert!(explanation(user, rung).contains("nothing here bounds"), "{rung} {output:?}");
        return None;
    }
    let counted = fs::read_to_string(yard.path("work/kept")).unwrap_or_default();
    let number = counted.trim().parse();
    assert!(number.is_ok(), "{how:?} {counted} {output:?}");
    let counted = number.unwrap();
    assert_eq!(witness.leaks(&output), [""; 0], "{how:?}");
    Some(counted)
}

fn bounded(rung: &str) {
    for user in [User::Own, User::Ordinary] {
        if !is_there(user, rung) {
            continue;
        }
        let how = Run::Permitted { rung, permissions: "bounded" };
        // 64 were allowed. Where only the numbers of processes are bounded, some are spent already.
        let forks = counted(user, how, FORKS);
        assert!(forks.is_none_or(|forks| forks < 310), "{rung}, {user:?}: {forks:?}");
        assert!(forks.is_none() || counted(user, how, WILD_FORKS).is_some(), "{rung}, {user:?}");
        if forks.is_some() {
            let megabytes = counted(user, how, MEMORY).unwrap();
            assert!((1..=68).contains(&megabytes), "{rung}, {user:?}: {megabytes}");
        }
    }
}

#[test]
fn bombs_are_bounded_in_namespaces() {
    bounded("namespaces");
}

#[test]
fn bombs_are_bounded_in_bubblewrap() {
    bounded("bwrap");
}

#[test]
fn bombs_are_bounded_by_landlock() {
    bounded("landlock");
}

#[test]
fn nothing_else_bounds_them() {
    let user = if rustix::process::geteuid().is_root() { User::Ordinary } else { User::Own };
    assert_eq!(counted(user, Run::Free, FORKS), Some(450));
    assert_eq!(counted(user, Run::Free, MEMORY), Some(300));
}
