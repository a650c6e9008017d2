//! The replay provider: a script in a file stands in for a model, over the path that every provider takes.

use serde_json::json;
use skein_tests::TestEnv;
use skein_tests::environment::test_env::KEY_VARIABLE;

use crate::compaction::{ALWAYS, resume, said, sealed};
use crate::scene::{good_turn, json_turn};
use crate::wire_apis::serve;

/// A home whose provider follows a script, and has neither key nor address.
fn env(script: &str) -> TestEnv {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    let file = env.home().join("script.toml");
    std::fs::write(&file, script).unwrap();
    let settings = format!(
        "model = \"replay\"\nmodel_provider = \"replay\"\n\
         [model_providers.replay]\nname = \"Replay\"\nwire_api = \"replay\"\nscript = {:?}\n",
        file.to_str().unwrap()
    );
    env.write_settings(&settings).unwrap();
    env
}

#[test]
fn a_script_says_and_does_things_and_looks_at_what_came_of_it() {
    let env = env(r#"
        [[step]]
        expect.user = "mend it"
        reasoning = "First I look."
        say = "I look."
        usage = { input = 900, cached = 100, output = 60, reasoning = 20 }
        [[step.call]]
        tool = "shell"
        arguments = { command = ["cat", "README.md"] }

        [[step]]
        expect.output = "A scratch repository."
        [[step.call]]
        tool = "apply_patch"
        input = '''
*** Begin Patch
*** Update File: README.md
@@
-A scratch repository.
+A mended repository.
*** End Patch
'''

        [[step]]
        say = "Mended."
    "#);
    let lines = good_turn(&env, &["mend it"]);
    let messages: Vec<_> =
        lines.completed("agent_message").iter().map(|item| item["text"].as_str().unwrap()).collect();
    assert_eq!(messages, ["I look.", "Mended."]);
    assert_eq!(lines.only("reasoning")["text"], "First I look.");
    assert_eq!(lines.last()["usage"]["input_tokens"], 900);
    assert_eq!(env.read_file("README.md").unwrap(), "A mended repository.\n");
}

#[test]
fn a_script_whose_expectation_fails_says_what_it_was_shown() {
    let env = env("[[step]]\nexpect.user = \"something else\"\nsay = \"Hi.\"\n");
    let (output, lines) = json_turn(&env, &["hello there"]);
    assert_eq!(output.code(), Some(1), "{:?}", lines.0);
    let message = lines.failure().1;
    assert!(message.contains("something else") && message.contains("hello there"), "{message}");
}

#[test]
fn a_script_can_fail_as_a_provider_does() {
    let env = env("[[step]]\nfail = { kind = \"failed\", status = 503, message = \"Out of order\" }\n");
    let (output, lines) = json_turn(&env, &["hello"]);
    assert_eq!(output.code(), Some(1), "{:?}", lines.0);
    assert!(lines.failure().1.contains("Out of order"), "{:?}", lines.last());
}

#[test]
fn a_script_that_is_malformed_is_told_with_its_place() {
    let env = env("[[step]]\nsya = \"Hi.\"\n");
    let (output, _) = json_turn(&env, &["hello"]);
    assert_eq!(output.code(), Some(2), "{output:?}");
    assert!(output.stderr.contains("script.toml") && output.stderr.contains("sya"), "{}", output.stderr);
}

#[test]
fn a_recording_goes_on_where_the_provider_or_the_model_put_the_conversation_into_less() {
    let compacted = json!({"id": "r", "object": "response.compaction", "created_at": 1, "output": sealed()});
    let bodies = vec![
        said("It fails."),
        compacted.to_string(),
        said("Mended."),
        // No compaction, so the model writes notes.
        "{}".to_owned(),
        said("The notes."),
        said("Again."),
    ];
    let (address, serving) = serve(bodies);
    let env = TestEnv::with_base_url(&address).unwrap();
    env.write_settings(&format!(
        "model = \"m\"\nmodel_provider = \"one\"\n[model_providers.one]\nbase_url = \"{address}/v1\"\n\
         env_key = \"{KEY_VARIABLE}\"\nwire_api = \"responses\"\nsupports_compaction = true\n\
         stream_max_retries = 0\nrequest_max_retries = 0\n"
    ))
    .unwrap();
    let turns = |more: &[&str]| {
        let answers =
            |lines: crate::scene::Lines| lines.only("agent_message")["text"].as_str().unwrap().to_owned();
        let again = |order: &str| answers(good_turn(&env, &resume(&[more, &ALWAYS[..], &[order]].concat())));
        let first = answers(good_turn(&env, &[more, &["First order."]].concat()));
        [first, again("Second order."), again("Third order.")]
    };
    let expected = ["It fails.", "Mended.", "Again."];
    assert_eq!(turns(&["--record", "seen.jsonl"]), expected);
    assert_eq!(serving.join().unwrap().len(), 6);
    let recording = env.repository().join("seen.jsonl");
    let text = std::fs::read_to_string(&recording).unwrap();
    assert_eq!(text.lines().count(), 7, "{text}");
    env.write_settings(&format!(
        "model = \"m\"\nmodel_provider = \"again\"\n[model_providers.again]\nwire_api = \"replay\"\n\
         script = {}\n",
        json!(recording.to_str().unwrap())
    ))
    .unwrap();
    // As often as one likes, also side by side and through restarts.
    assert_eq!(turns(&[]), expected);
    assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    assert_eq!(turns(&[]), expected);
}
