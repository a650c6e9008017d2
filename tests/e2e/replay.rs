//! The replay provider: a script in a file stands in for a model, over the path that every provider takes.

use skein_tests::TestEnv;

use crate::scene::{good_turn, json_turn};

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
