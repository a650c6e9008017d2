//! `skein exec --json`: the lines that programs written for `codex exec --json` read.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use skein_tests::scripted_model::reply::{Answer, Reply, StatusReply, Usage};

use crate::scene::{Lines, SOON, expect_none_left, good_turn, json_turn, patches, runs, scene, script};

#[test]
fn a_plain_turn_is_four_lines() {
    let usage = Usage { input: 90, cached: 40, output: 30, reasoning: 10 };
    let (model, env) = scene([Answer::new().text("Hi.").in_pieces(2).usage(usage)]);
    let lines = good_turn(&env, &["hello"]);
    let without_updates: Vec<_> =
        lines.types().into_iter().filter(|kind| !["item.started", "item.updated"].contains(kind)).collect();
    assert_eq!(without_updates, ["thread.started", "turn.started", "item.completed", "turn.completed"]);
    assert_eq!(lines.session().len(), 36);
    let message = lines.only("agent_message");
    assert_eq!(message, &json!({"id": "item_0", "type": "agent_message", "text": "Hi."}));
    let wanted = json!({
        "type": "turn.completed",
        "usage": {"input_tokens": 90, "cached_input_tokens": 40, "cache_write_input_tokens": 0,
                  "output_tokens": 30, "reasoning_output_tokens": 10},
    });
    assert_eq!(lines.last(), &wanted);
    model.verify().unwrap();
}

#[test]
fn both_names_of_the_flag_work() {
    let (_model, env) = scene([Reply::text("Hi.")]);
    let output = env.run(["exec", "--experimental-json", "hello"]).unwrap();
    assert_eq!(Lines::of(&output).last()["type"], "turn.completed");
}

#[test]
fn a_command_has_its_output_and_code() {
    let (_model, env) = scene([script("echo out; echo err >&2; exit 3"), Reply::text("Done.")]);
    let lines = good_turn(&env, &["go"]);
    let started = lines.items("item.started", "command_execution")[0];
    assert_eq!((&started["status"], &started["exit_code"]), (&json!("in_progress"), &Value::Null));
    let ended = lines.only("command_execution");
    assert_eq!(ended["id"], started["id"]);
    assert_eq!((&ended["status"], &ended["exit_code"]), (&json!("failed"), &json!(3)));
    assert_eq!(ended["aggregated_output"], "out\nerr\n");
    assert!(ended["command"].as_str().unwrap().contains("echo out"), "{ended}");
}

#[test]
fn a_command_that_works_is_completed() {
    let (_model, env) = scene([runs(["echo", "hello"]), Reply::text("Done.")]);
    let command = good_turn(&env, &["go"]).only("command_execution").clone();
    let wanted = (&json!("completed"), &json!(0), &json!("hello\n"));
    assert_eq!((&command["status"], &command["exit_code"], &command["aggregated_output"]), wanted);
}

#[test]
fn a_change_of_files_names_them() {
    let (_model, env) = scene([
        patches(
            "*** Add File: sub/new.txt\n+new\n*** Update File: README.md\n@@\n-A scratch repository.\n+Changed.",
        ),
        patches("*** Delete File: README.md"),
        Reply::text("Done."),
    ]);
    let lines = good_turn(&env, &["go"]);
    let changes = lines.completed("file_change");
    let path = |name: &str| env.repository().join(name).to_str().unwrap().to_owned();
    let kinds = |item: &Value| -> BTreeSet<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        item["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| (text(&change["path"]), text(&change["kind"])))
            .collect()
    };
    let first =
        BTreeSet::from([(path("sub/new.txt"), "add".to_owned()), (path("README.md"), "update".to_owned())]);
    assert_eq!(kinds(changes[0]), first);
    assert_eq!(kinds(changes[1]), BTreeSet::from([(path("README.md"), "delete".to_owned())]));
    assert!(changes.iter().all(|change| change["status"] == "completed"), "{changes:?}");
    assert_eq!(env.read_file("sub/new.txt").unwrap(), "new\n");
    assert!(!env.repository().join("README.md").exists());
}

#[test]
fn a_patch_that_does_not_apply_is_an_item_and_changes_nothing() {
    let (model, env) = scene([
        patches("*** Add File: new.txt\n+new\n*** Update File: README.md\n@@\n-no such line\n+x"),
        Reply::text("Sorry."),
    ]);
    let change = good_turn(&env, &["go"]).only("file_change").clone();
    assert_eq!(change["status"], "failed");
    assert!(!env.repository().join("new.txt").exists());
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(told.contains("README.md") && told.contains("no such line"), "{told}");
}

#[test]
fn reasoning_is_an_item() {
    let (_model, env) = scene([Answer::new().reasoning("Thinking it over.").text("Hi.")]);
    let lines = good_turn(&env, &["hello"]);
    assert_eq!(lines.only("reasoning")["text"], "Thinking it over.");
}

#[test]
fn ids_are_unique_and_each_item_ends_once() {
    let (_model, env) = scene([
        Answer::new().reasoning("Hm.").text("First.").call("shell", &json!({"command": ["true"]})).into(),
        patches("*** Add File: a\n+a"),
        Reply::text("Done."),
    ]);
    let lines = good_turn(&env, &["go"]);
    let ended: Vec<_> = lines
        .0
        .iter()
        .filter(|line| line["type"] == "item.completed")
        .map(|line| line["item"]["id"].as_str().unwrap())
        .collect();
    let unique: BTreeSet<_> = ended.iter().collect();
    assert_eq!((ended.len(), unique.len()), (5, 5), "{ended:?}");
    assert!(
        ended.iter().all(|id| id.strip_prefix("item_").is_some_and(|number| number.parse::<u32>().is_ok())),
        "{ended:?}"
    );
}

#[test]
fn unknown_settings_are_a_warning_on_standard_error() {
    let (_model, env) = scene([Reply::text("Hi.")]);
    let output = env
        .run(["exec", "--json", "-c", "web_search=\"disabled\"", "-c", "no.such.key=[1]", "hello"])
        .unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(output.stderr.contains("no.such.key"), "{}", output.stderr);
    assert!(!output.stderr.contains("web_search"), "{}", output.stderr);
    assert_eq!(Lines::of(&output).last()["type"], "turn.completed");
}

#[test]
fn flags_stand_before_resume_and_images_after() {
    let (model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    let first = good_turn(&env, &["one"]);
    let image = env.home().join("x.gif");
    std::fs::write(&image, b"GIF89a\x01\0\x01\0\0\0\0;").unwrap();
    let arguments = ["exec", "--experimental-json", "--sandbox", "read-only", "--cd"];
    let repository = env.repository();
    let rest = ["resume", first.session(), "--image", image.to_str().unwrap()];
    let arguments = arguments.into_iter().chain([repository.to_str().unwrap()]).chain(rest);
    let input = skein_tests::environment::process::Input::Text("two".to_owned());
    let output = env.command(arguments).input(input).run().unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert_eq!(Lines::of(&output).session(), first.session());
    assert!(model.requests()[1].user_texts().contains(&"two"));
    model.verify().unwrap();
}

#[test]
fn retries_are_error_lines_and_not_the_end() {
    let (model, env) =
        scene([StatusReply::error(503, "Overloaded.", "server_error", None).into(), Reply::text("Hi.")]);
    let lines = good_turn(&env, &["hello"]);
    let errors: Vec<_> = lines.0.iter().filter(|line| line["type"] == "error").collect();
    assert_eq!(errors.len(), 1, "{:?}", lines.types());
    assert!(errors[0]["message"].as_str().unwrap().contains("Overloaded"), "{errors:?}");
    model.verify().unwrap();
}

#[test]
fn signals_end_it_with_a_last_line() {
    for (is_interrupt, code, name) in [(true, 130, "interrupted"), (false, 143, "terminated")] {
        let (model, env) = scene([runs(["sleep", "600"])]);
        let running = env.spawn(["exec", "--json", "go"]).unwrap();
        running.wait_for_stdout("command_execution", SOON).unwrap();
        model.wait_for_requests(1, SOON).unwrap();
        if is_interrupt { running.interrupt() } else { running.terminate() }.unwrap();
        let output = running.wait(SOON).unwrap();
        let lines = Lines::of(&output);
        assert_eq!(output.code(), Some(code), "{:?}", lines.0);
        assert_eq!(lines.failure().0, name);
        expect_none_left(&env, "sleep");
    }
}

#[test]
fn usage_and_settings_errors_have_a_last_line_too() {
    let (_model, env) = scene([Reply::text("Hi.")]);
    env.prepend_settings("sandbox_mode = \"nonsense\"").unwrap();
    let (output, lines) = json_turn(&env, &["hello"]);
    assert_eq!(output.code(), Some(2), "{output:?}");
    assert_eq!(lines.last()["type"], "turn.failed", "{output:?}");
}

#[test]
fn a_deadline_has_a_last_line_with_its_code() {
    let (_model, env) = scene([Reply::Silence]);
    let (output, lines) = json_turn(&env, &["--deadline", "500ms", "hello"]);
    assert_eq!(output.code(), Some(4));
    assert_eq!(lines.failure().0, "deadline", "{:?}", lines.0);
}

#[test]
fn twenty_thousand_deltas_arrive_whole() {
    let text = "word ".repeat(20_000);
    let (_model, env) = scene([Answer::new().text(text.clone()).in_pieces(20_000)]);
    let lines = good_turn(&env, &["go"]);
    assert_eq!(lines.only("agent_message")["text"], text);
}
