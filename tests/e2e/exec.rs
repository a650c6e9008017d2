//! `skein exec` for people: what is asked, what is answered, which code it ends with.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use skein_tests::environment::process::Input;
use skein_tests::scripted_model::reply::{Answer, Reply, Usage};

use crate::scene::{SOON, expect_none_left, good_turn, patches, runs, scene, script, seen};

#[test]
fn the_answer_is_printed_and_the_code_is_0() {
    let (model, env) = scene([Reply::text("The answer is 42.")]);
    let output = env.run(["exec", "what is it?"]).unwrap();
    assert_eq!(output.code(), Some(0), "{}", output.stderr);
    assert!(output.stdout.contains("The answer is 42."), "{output:?}");
    assert!(output.closed_its_pipes, "the daemon holds the pipes of the client that started it");
    assert_eq!(model.requests()[0].user_texts().last(), Some(&"what is it?"));
    model.verify().unwrap();
}

#[test]
fn piped_output_has_no_colours() {
    let (_model, env) = scene([script("printf '\\033[31mred\\033[0m'"), Reply::text("Done.")]);
    let output = env.run(["exec", "go"]).unwrap();
    assert!(!seen(&output).contains('\u{1b}'), "{output:?}");
}

#[test]
fn people_see_commands_diffs_time_and_tokens() {
    let (model, env) = scene([
        runs(["echo", "from the command"]),
        patches("*** Add File: made.txt\n+made by a patch"),
        Answer::new().text("All done.").usage(Usage { input: 1234, ..Usage::default() }).into(),
    ]);
    let output = env.run(["exec", "go"]).unwrap();
    let seen = seen(&output);
    for part in ["echo", "from the command", "made.txt", "+made by a patch", "All done.", "token"] {
        assert!(seen.contains(part), "`{part}` in {seen}");
    }
    assert_eq!(env.read_file("made.txt").unwrap(), "made by a patch\n");
    model.verify().unwrap();
}

#[test]
fn the_prompt_can_come_from_standard_input() {
    for arguments in [&["exec", "-"][..], &["exec"]] {
        let (model, env) = scene([Reply::text("Hello.")]);
        let input = Input::Text("said on standard input\n".to_owned());
        let output = env.command(arguments.iter().copied()).input(input).run().unwrap();
        assert_eq!(output.code(), Some(0), "{}", output.stderr);
        assert_eq!(
            model.requests()[0].user_texts().last().map(|text| text.trim()),
            Some("said on standard input")
        );
    }
}

#[test]
fn piped_text_beside_a_prompt_is_context() {
    let (model, env) = scene([Reply::text("Hello.")]);
    let input = Input::Text("error: it broke in line 7\n".to_owned());
    env.command(["exec", "explain this"]).input(input).run().unwrap();
    let said = model.requests()[0].user_texts().join("\n");
    assert!(said.contains("explain this") && said.contains("it broke in line 7"), "{said}");
}

#[test]
fn standard_input_that_stays_open_does_not_block_a_prompt() {
    let (_model, env) = scene([Reply::text("Hello.")]);
    let running = env.command(["exec", "hello"]).input(Input::Open).spawn().unwrap();
    assert_eq!(running.wait(SOON).unwrap().code(), Some(0));
}

#[test]
fn an_empty_prompt_is_a_usage_error() {
    let (model, env) = scene([Reply::text("Hello.")]);
    let output = env.run(["exec"]).unwrap();
    assert_eq!((output.code(), model.requests().len()), (Some(2), 0), "{output:?}");
}

#[test]
fn the_last_message_is_written_to_a_file() {
    let (_model, env) = scene([
        Answer::new().text("First.").call("shell", &json!({"command": ["true"]})).into(),
        Reply::text("Last."),
    ]);
    let file = env.home().join("last.txt");
    let output = env.run(["exec", "-o", file.to_str().unwrap(), "go"]).unwrap();
    assert_eq!(output.code(), Some(0), "{}", output.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap().trim_end(), "Last.");
}

#[test]
fn an_output_schema_reaches_the_model() {
    let (model, env) = scene([Reply::text("{\"a\":1}")]);
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false});
    env.write_file("schema.json", &schema.to_string()).unwrap();
    good_turn(&env, &["--output-schema", "schema.json", "go"]);
    let request = model.requests().remove(0);
    let format = &request.json()["text"]["format"];
    assert_eq!(
        (&format["type"], &format["strict"], &format["schema"]),
        (&json!("json_schema"), &json!(true), &schema)
    );
    model.verify().unwrap();
}

#[test]
fn an_image_reaches_the_model() {
    let (model, env) = scene([Reply::text("A dot.")]);
    // The smallest PNG: one transparent dot.
    let png: &[u8] = &[
        0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1,
        8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 13, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63, 0, 1,
        0, 0, 5, 0, 1, 0x0d, 0x0a, 0x2d, 0xb4, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
    ];
    fs::write(env.repository().join("dot.png"), png).unwrap();
    good_turn(&env, &["what is this?", "-i", "dot.png"]);
    let request = &model.requests()[0];
    let is_image = |part: &&Value| part["type"] == "input_image";
    let parts = request.input().iter().filter_map(|item| item["content"].as_array()).flatten();
    let images: Vec<_> = parts.filter(is_image).collect();
    assert_eq!(images.len(), 1, "{:#}", request.json());
    assert!(images[0]["image_url"].as_str().unwrap().starts_with("data:image/png;base64,iVBOR"));
    model.verify().unwrap();
}

#[test]
fn model_and_settings_can_be_given_for_one_turn() {
    let (model, env) = scene([Reply::text("Hello."), Reply::text("Hello.")]);
    good_turn(&env, &["-m", "other", "-c", "model_reasoning_effort=\"high\"", "hello"]);
    good_turn(&env, &["hello"]);
    let requests = model.requests();
    assert_eq!(
        (&requests[0].json()["model"], &requests[0].json()["reasoning"]["effort"]),
        (&json!("other"), &json!("high"))
    );
    assert_eq!(requests[1].json()["model"], "scripted");
    model.verify().unwrap();
}

#[test]
fn it_runs_in_the_folder_it_is_told() {
    let (model, env) = scene([script("pwd -P; touch here"), Reply::text("Done.")]);
    env.write_file("sub/x", "").unwrap();
    good_turn(&env, &["--cd", "sub", "go"]);
    assert!(env.repository().join("sub/here").exists());
    let output = model.requests()[1].last_output().unwrap().to_owned();
    assert!(output.contains("/repository/sub"), "{output}");
}

#[test]
fn an_added_folder_may_be_written() {
    let outside = crate::scene::outside();
    let path = outside.path().to_str().unwrap();
    let touch = format!("touch {path}/made");
    let (_model, env) = scene([script(&touch), Reply::text("Done."), script(&touch), Reply::text("Done.")]);
    good_turn(&env, &["go"]);
    assert!(!outside.path().join("made").exists());
    good_turn(&env, &["--add-dir", path, "go"]);
    assert!(outside.path().join("made").exists());
}

#[test]
fn outside_of_a_repository_it_asks_for_the_flag() {
    let (model, env) = scene([Reply::text("Hello.")]);
    let folder = env.home();
    let output = env.command(["exec", "hello"]).folder(&folder).run().unwrap();
    assert_eq!(output.code(), Some(2), "{output:?}");
    assert!(output.stderr.contains("--skip-git-repo-check"), "{}", output.stderr);
    let output = env.command(["exec", "--skip-git-repo-check", "hello"]).folder(&folder).run().unwrap();
    assert_eq!((output.code(), model.requests().len()), (Some(0), 1), "{output:?}");
}

#[test]
fn a_detached_turn_goes_on_after_its_client() {
    let (model, env) = scene([
        script("touch started; until test -e go; do sleep 0.02; done; touch ended"),
        Reply::text("Done."),
    ]);
    let output = env.run(["exec", "--detach", "go"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let id = output.stdout.trim();
    assert_eq!(id.len(), 36, "the session's id and nothing else: {id}");
    model.wait_for_requests(1, SOON).unwrap();
    env.write_file("go", "").unwrap();
    model.wait_for_requests(2, SOON).unwrap();
    assert!(env.repository().join("ended").exists());
    let follower = env.spawn(["attach", id]).unwrap();
    follower.wait_for_stdout("Done.", SOON).unwrap();
}

#[test]
fn a_session_is_resumed_with_all_that_was_said() {
    let (model, env) = scene([Reply::text("I will remember."), Reply::text("42."), Reply::text("Yes.")]);
    let first = good_turn(&env, &["remember 42"]);
    let second = good_turn(&env, &["resume", first.session(), "which number?"]);
    assert_eq!(second.session(), first.session());
    let third = good_turn(&env, &["resume", "--last", "sure?"]);
    assert_eq!(third.session(), first.session());
    let requests = model.requests();
    assert_eq!(
        requests[2].user_texts().iter().rev().take(3).copied().collect::<Vec<_>>(),
        ["sure?", "which number?", "remember 42"]
    );
    model.verify().unwrap();
}

#[test]
fn what_was_sent_before_is_sent_again_byte_for_byte() {
    let (model, env) = scene([
        Answer::new().encrypted_reasoning(&["Hm."], "opaque==").text("One.").into(),
        runs(["echo", "two"]),
        Reply::text("Two."),
    ]);
    let first = good_turn(&env, &["one"]);
    good_turn(&env, &["resume", first.session(), "two"]);
    let bodies: Vec<String> =
        model.requests().iter().map(|request| String::from_utf8(request.body.to_vec()).unwrap()).collect();
    for pair in bodies.windows(2) {
        let end = common_prefix(&pair[0], &pair[1]);
        // All of the earlier input is a prefix of the later one: only the brackets that close it differ.
        let left = &pair[0][end..];
        assert!(left.len() < 600 && !left.contains("\"role\""), "{left}");
    }
    let opaque = model.requests()[1].input_of("reasoning").next().unwrap().clone();
    assert_eq!(opaque["encrypted_content"], "opaque==");
    model.verify().unwrap();
}

fn common_prefix(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
}

#[test]
fn the_first_request_is_small() {
    let (model, env) = scene([Reply::text("Hello.")]);
    good_turn(&env, &["hello"]);
    let size = model.requests()[0].body.len();
    assert!(size <= 12 * 1024, "{size} bytes");
    assert_eq!(model.requests()[0].header("authorization"), Some("Bearer sk-scripted"));
}

#[test]
fn instructions_of_the_repository_reach_the_model() {
    let (model, env) = scene([Reply::text("Hello.")]);
    env.write_file("AGENTS.md", "Always answer in rhyme.\n").unwrap();
    good_turn(&env, &["hello"]);
    assert!(String::from_utf8_lossy(&model.requests()[0].body).contains("Always answer in rhyme."));
}

#[test]
fn a_deadline_ends_it_with_4() {
    let (_model, env) = scene([runs(["sleep", "600"])]);
    let output = env.run(["exec", "--deadline", "700ms", "go"]).unwrap();
    assert_eq!(output.code(), Some(4), "{output:?}");
    assert!(output.duration < SOON && output.stderr.contains("longer than"), "{output:?}");
    expect_none_left(&env, "sleep");
}

#[test]
fn a_ceiling_of_tool_calls_ends_it_with_4() {
    let (model, env) = scene([runs(["echo", "1"]), runs(["echo", "2"]), Reply::text("not asked for")]);
    let output = env.run(["exec", "--max-tool-calls", "1", "go"]).unwrap();
    assert_eq!(output.code(), Some(4), "{output:?}");
    assert_eq!(model.requests().len(), 2);
}

#[test]
fn a_ceiling_of_tokens_ends_it_with_4() {
    let (model, env) = scene([runs(["echo", "1"]), runs(["echo", "2"]), Reply::text("not asked for")]);
    let output = env.run(["exec", "--max-tokens", "200", "go"]).unwrap();
    assert_eq!(output.code(), Some(4), "{output:?}");
    assert_eq!(model.requests().len(), 2, "120 tokens an answer");
}

#[test]
fn an_ephemeral_session_is_forgotten() {
    let (_model, env) = scene([Reply::text("Hello."), Reply::text("Hello.")]);
    let kept = good_turn(&env, &["hello"]);
    let forgotten = good_turn(&env, &["--ephemeral", "hello"]);
    let list = env.run(["sessions", "list"]).unwrap().stdout;
    assert!(list.contains(&kept.session()[..13]) && list.lines().count() == 2, "{list}");
    let output = env.run(["exec", "resume", forgotten.session(), "hello?"]).unwrap();
    assert_eq!(output.code(), Some(2), "{output:?}");
}

#[test]
fn interrupting_the_client_ends_the_turn_with_130() {
    let (model, env) = scene([runs(["sleep", "600"])]);
    let running = env.spawn(["exec", "go"]).unwrap();
    model.wait_for_requests(1, SOON).unwrap();
    running
        .wait_for_stderr("sleep", Duration::from_secs(10))
        .or_else(|_| running.wait_for_stdout("sleep", SOON))
        .unwrap();
    running.interrupt().unwrap();
    assert_eq!(running.wait(SOON).unwrap().code(), Some(130));
    expect_none_left(&env, "sleep");
}
