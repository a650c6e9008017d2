//! A session that begins as another one was goes its own way, and the other one its own.

use std::fs;

use skein_tests::scripted_model::reply::Reply;

use crate::scene::{good_turn, scene, script};

#[test]
fn a_fork_goes_on_from_where_it_was_made_and_the_other_one_is_as_it_was() {
    let replies = [
        script("seq 1 20000"),
        Reply::text("One."),
        Reply::text("Two."),
        Reply::text("Other."),
        Reply::text("Three."),
    ];
    let (model, env) = scene(replies);
    let first = good_turn(&env, &["the first"]);
    let session = first.session().to_owned();
    good_turn(&env, &["resume", "--last", "the second"]);
    let made = env.run(["sessions", "fork", &session, "--without", "1", "--title", "another way"]).unwrap();
    assert_eq!(made.code(), Some(0), "{made:?}");
    let fork = made.stdout.trim().to_owned();
    let list = env.run(["sessions", "list"]).unwrap().stdout;
    let newest = list.lines().nth(1).unwrap_or_default();
    assert!(newest.contains(&fork[..13]) && newest.contains("another way"), "{list}");

    // What the first turn kept of its output is still there when its session is not.
    good_turn(&env, &["resume", &fork, "the other"]);
    good_turn(&env, &["resume", &session, "the third"]);
    let said = |at: usize| model.requests()[at].user_texts().join("|");
    assert!(said(3).ends_with("the first|the other"), "{}", said(3));
    assert!(said(4).ends_with("the first|the second|the third"), "{}", said(4));
    let (before, after) = (&model.requests()[1], &model.requests()[3]);
    assert_eq!(after.input()[..before.input().len()], before.input()[..], "the cached prefix is the same");
    assert_eq!(after.json()["instructions"], before.json()["instructions"]);
    env.run(["sessions", "delete", &session]).unwrap();
    let show = env.run(["sessions", "show", &fork]).unwrap().stdout;
    assert!(
        show.contains("the first") && show.contains("the other") && !show.contains("the second"),
        "{show}"
    );
    let blobs = env.skein_home().join("state/blobs");
    let kept = fs::read_dir(&blobs).unwrap().filter_map(Result::ok).count();
    assert!(kept > 0, "what the fork refers to is kept");
    model.verify().unwrap();
}

#[test]
fn a_fork_of_nothing_is_refused() {
    let (_model, env) = scene([Reply::text("One.")]);
    good_turn(&env, &["the first"]);
    let made = env.run(["sessions", "fork", "--last", "--without", "5"]).unwrap();
    assert_eq!(made.code(), Some(2), "{made:?}");
    assert!(made.stderr.contains("no such turn"), "{made:?}");
}
