//! Ceilings beyond those of a turn hold in the daemon, whichever session or client spends.

use skein_tests::scripted_model::reply::Reply;

use crate::scene::{good_turn, runs, scene};

/// Two answers, of 120 tokens each.
fn two_answers() -> [Reply; 2] {
    [runs(["echo", "1"]), Reply::text("Done.")]
}

#[test]
fn a_session_that_spent_what_it_may_answers_no_more() {
    let (model, env) = scene(two_answers());
    env.append_settings("[budget.session]\nmax_tokens = 200").unwrap();
    good_turn(&env, &["go"]);
    let output = env.run(["exec", "resume", "--last", "more"]).unwrap();
    assert_eq!(output.code(), Some(4), "{output:?}");
    assert!(output.stderr.contains("The session was allowed 200 tokens and spent 240"), "{output:?}");
    assert_eq!(model.requests().len(), 2, "the model was not asked");
}

#[test]
fn a_day_holds_for_all_sessions_and_through_a_restart() {
    let (model, env) = scene(two_answers());
    env.append_settings("[budget.day]\nmax_tokens = 200").unwrap();
    good_turn(&env, &["go"]);
    for _ in 0..2 {
        let output = env.run(["exec", "in another session"]).unwrap();
        assert_eq!(output.code(), Some(4), "{output:?}");
        assert!(output.stderr.contains("This day was allowed 200 tokens"), "{output:?}");
        assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    }
    assert_eq!(model.requests().len(), 2, "the model was not asked");
}
